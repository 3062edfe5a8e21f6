"""One id, many callers at once: one truth, the same for everybody who may hear it."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from ledger.refusals import IdGivenUp, IdReused, Refusal
from tests.ledger import ledger_factories as f
from tests.races.racing import FIRST, REPLAY, ask, balance_of, in_two_processes, post_all, tally, word_of

pytestmark = pytest.mark.anyio


async def book(region, *instructions):
    async with region.bookkeeper() as bookkeeper:
        for one in instructions:
            await bookkeeper.post(one)


async def answer_of(awaitable):
    try:
        return await awaitable
    except Refusal as refusal:
        return refusal


async def test_B01_within_one_batch_one_answer_is_the_first_and_all_name_the_same_entry(region):
    await book(region, f.top_up(f.HANAKO, 1000))
    paid = f.pay(f.HANAKO, f.BAKERY, 300)
    async with region.bookkeeper() as bookkeeper:
        posted = await asyncio.gather(*(bookkeeper.post(paid) for _ in range(100)))
    assert {one.entry for one in posted} == {posted[0].entry}
    assert [one.is_replay for one in posted].count(False) == 1


async def test_B01_a_refusal_is_the_same_refusal_for_all_who_ask_again(region):
    refused = f.pay(f.HANAKO, f.BAKERY, 300)
    async with region.bookkeeper() as bookkeeper:
        answers = await asyncio.gather(*(answer_of(bookkeeper.post(refused)) for _ in range(20)))
        await bookkeeper.post(f.top_up(f.HANAKO, 1000))
        late = await answer_of(bookkeeper.post(refused))
    assert {str(one) for one in [*answers, late]} == {"insufficient_funds: " + str(answers[0]).split(": ", 1)[1]}
    assert await ask(region, "SELECT count(*) FROM refused_instruction") == (1,)


async def test_B02_one_id_with_two_bodies_makes_one_entry_whoever_comes_first(region):
    await book(region, f.top_up(f.HANAKO, 100_000))
    pairs = [
        [f.pay(f.HANAKO, f.BAKERY, amount, id=made) for amount in (100, 101)]
        for made in (uuid4() for _ in range(50))
    ]
    async with in_two_processes(region) as post:
        outcomes = await post([one for pair in pairs for one in pair])
    assert tally(outcomes) == {FIRST: 50, "id_reused": 50}
    assert await ask(region, "SELECT count(*) FROM entry") == (51,)
    assert await ask(region, "SELECT count(*) FROM refused_instruction") == (0,)


@pytest.mark.parametrize("first_body_settles", [True, False])
async def test_B02_another_body_later_is_told_that_the_id_is_used(region, first_body_settles):
    await book(region, f.top_up(f.HANAKO, 1000))
    first = f.pay(f.HANAKO, f.BAKERY, 300 if first_body_settles else 3000)
    other = f.pay(f.HANAKO, f.BAKERY, 301, id=first.id)
    async with region.bookkeeper() as bookkeeper:
        answer = word_of(await answer_of(bookkeeper.post(first)))
        with pytest.raises(IdReused):
            await bookkeeper.post(other)
        again = word_of(await answer_of(bookkeeper.post(first)))
    assert (answer, again) == ((FIRST, REPLAY) if first_body_settles else ("insufficient_funds",) * 2)


async def test_B14_another_callers_id_is_refused_with_nothing_of_the_first(region):
    await book(region, f.top_up(f.HANAKO, 1000), paid := f.pay(f.HANAKO, f.BAKERY, 300))
    stranger = f.pay(f.HANAKO, f.BAKERY, 300, id=paid.id, caller="terminal:2")
    async with region.bookkeeper() as bookkeeper:
        with pytest.raises(IdReused) as refused:
            await bookkeeper.post(stranger)
        assert refused.value.facts() == {}
        with pytest.raises(IdReused):
            await bookkeeper.give_up(f.give_up(paid, caller="terminal:2"))
        assert await bookkeeper.give_up(f.give_up(paid)) is not None


async def test_B14_another_callers_given_up_id_stays_his(region):
    asked = f.pay(f.HANAKO, f.BAKERY, 300)
    async with region.bookkeeper() as bookkeeper:
        assert await bookkeeper.give_up(f.give_up(asked)) is None
        with pytest.raises(IdReused):
            await bookkeeper.post(f.pay(f.HANAKO, f.BAKERY, 300, id=asked.id, caller="terminal:2"))
        with pytest.raises(IdGivenUp):
            await bookkeeper.post(replace(asked))


async def test_B12_given_up_and_paid_at_the_same_instant_100_rounds_has_one_truth(region):
    await book(region, f.top_up(f.HANAKO, 100_000))
    settled = 0
    async with region.bookkeeper() as till, region.bookkeeper() as phone:
        for number in range(100):
            paid = f.pay(f.HANAKO, f.BAKERY, 100)
            racers = [answer_of(phone.post(paid)), answer_of(till.give_up(f.give_up(paid)))]
            if number % 2:
                racers.reverse()
            answers = await asyncio.gather(*racers)
            payment, given_up = reversed(answers) if number % 2 else answers
            is_settled = not isinstance(payment, Refusal)
            settled += is_settled
            # Whoever asks again, on either side, hears the same.
            again = await answer_of(till.post(paid))
            given_up_again = await answer_of(phone.give_up(f.give_up(paid)))
            if is_settled:
                assert payment.entry == given_up.entry == again.entry == given_up_again.entry
            else:
                assert isinstance(payment, IdGivenUp)
                assert isinstance(again, IdGivenUp)
                assert given_up is given_up_again is None
    assert await balance_of(region, f.takings()) == 100 * settled


async def test_B12_given_up_in_the_same_batch_as_its_payment(region):
    await book(region, f.top_up(f.HANAKO, 1000))
    first, second = f.pay(f.HANAKO, f.BAKERY, 1), f.pay(f.HANAKO, f.BAKERY, 2)
    async with region.bookkeeper() as bookkeeper:
        answers = await asyncio.gather(
            bookkeeper.post(first),
            bookkeeper.give_up(f.give_up(first)),
            bookkeeper.give_up(f.give_up(second)),
            answer_of(bookkeeper.post(second)),
        )
    assert answers[0].entry == answers[1].entry
    assert answers[2] is None
    assert isinstance(answers[3], IdGivenUp)


async def test_B10_fifty_offline_sales_resent_after_a_drop_at_23_make_fifty_entries(region):
    await book(region, f.top_up(f.HANAKO, 10_000))
    sales = [f.pay(f.HANAKO, f.BAKERY, 100 + number) for number in range(50)]
    async with region.bookkeeper() as bookkeeper:
        assert tally(await post_all(bookkeeper, sales[:23])) == {FIRST: 23}
    async with region.bookkeeper() as bookkeeper:
        assert tally(await post_all(bookkeeper, sales)) == {REPLAY: 23, FIRST: 27}
    assert await ask(region, "SELECT count(*) FROM entry WHERE kind = 'payment'") == (50,)
