-- The book of a region: programmes, accounts, the append-only journal, and the one function that posts a batch.
--
-- What holds here holds against everybody, whatever the application does:
--   * a transfer has one debit, one credit, one positive amount, both accounts of its one programme;
--   * it follows a flow of the chart that two people have switched on for the programme;
--   * the journal only grows, at its end, and nothing stays in it that `post_batch` has not posted;
--   * the application's role has no right to write a balance: `post_batch` derives every counter from the journal.

-- 1. The book -------------------------------------------------------------------------------------------------------

CREATE TABLE book (
    region text PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    at timestamptz NOT NULL DEFAULT 'epoch',
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    account_id bigint NOT NULL DEFAULT 0,
    counter_id bigint NOT NULL DEFAULT 0,
    is_open boolean NOT NULL DEFAULT true,
    programmes_version bigint NOT NULL DEFAULT 0,
    -- How far an entry's instant may lie ahead of the server's clock. Time never falls in a book, so one wrong clock
    -- would end every lot for good. Only the owner may widen it.
    clock_ahead_max interval NOT NULL DEFAULT '1 minute'
) WITH (fillfactor = 10);
COMMENT ON TABLE book IS 'One row: the end of the region''s book. Its lock is the order of all entries.';
CREATE UNIQUE INDEX book_is_one ON book ((true));

CREATE TABLE book_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    is_open boolean NOT NULL,
    ordered_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT book_change_by_two_people CHECK (ordered_by <> approved_by)
);
COMMENT ON TABLE book_change IS 'Who closed the book to all entries, or opened it again.';

CREATE TABLE checkpoint (
    seq bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE checkpoint IS 'The chain''s hash after the last entry of each batch. All entries of a batch share its instant.';
CREATE INDEX checkpoint_at ON checkpoint (at);

-- 2. Programmes -----------------------------------------------------------------------------------------------------

CREATE TABLE programme (
    id smallint PRIMARY KEY,
    code text NOT NULL UNIQUE CHECK (code ~ '^[a-z][a-z0-9-]{0,31}$'),
    funding text NOT NULL CHECK (funding IN ('yen', 'grant')),
    rank smallint NOT NULL CHECK (rank >= 0),
    expiry_bucket text NOT NULL CHECK (expiry_bucket IN ('day', 'month_end', 'previous_month_end')),
    extension_days_max integer CHECK (extension_days_max BETWEEN 0 AND 3660),
    receivable_max bigint NOT NULL CHECK (receivable_max >= 0),
    risk_max bigint NOT NULL CHECK (risk_max >= 0),
    UNIQUE (id, funding)
);

CREATE TABLE programme_flow (
    programme smallint NOT NULL,
    funding text NOT NULL,
    flow text NOT NULL,
    is_on boolean NOT NULL,
    ordered_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (programme, flow),
    FOREIGN KEY (programme, funding) REFERENCES programme (id, funding),
    CONSTRAINT programme_flow_by_two_people CHECK (ordered_by <> approved_by),
    CONSTRAINT programme_flow_fits_funding CHECK (
        flow IN (
            'payment', 'refund', 'gift', 'gift_back', 'supply', 'supply_back', 'donate', 'succession', 'refund_advance',
            'recover', 'collect', 'settle', 'payout_failed', 'fee', 'fee_back', 'paid_out', 'paid_back', 'fee_out',
            'expire', 'expire_back', 'release', 'overlap', 'overlap_back', 'overlap_covered', 'difference'
        )
        OR (funding = 'yen' AND flow IN (
            'top_up', 'float_buy', 'float_sell', 'float_back', 'sell_codes', 'redeem', 'codes_back', 'codes_expire',
            'unmatched', 'matched', 'sent_back', 'top_up_cancel', 'lawful_return'
        ))
        OR (funding = 'grant' AND flow IN ('fund', 'unfund', 'bonus', 'bonus_back', 'benefit', 'benefit_back'))
    )
);
COMMENT ON TABLE programme_flow IS 'Which flows of the chart a programme has switched on, and the two people who did it.';

CREATE TABLE programme_flow_change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    programme smallint NOT NULL,
    flow text NOT NULL,
    is_on boolean NOT NULL,
    ordered_by uuid NOT NULL,
    approved_by uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    FOREIGN KEY (programme, flow) REFERENCES programme_flow
);

-- 3. Accounts -------------------------------------------------------------------------------------------------------

CREATE TABLE account (
    id bigint PRIMARY KEY,
    holder uuid NOT NULL,
    debits bigint NOT NULL DEFAULT 0,
    credits bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    ceiling bigint,
    transfers bigint NOT NULL DEFAULT 0,
    expires_on date,
    programme smallint NOT NULL REFERENCES programme,
    grace boolean NOT NULL DEFAULT false,
    kind text NOT NULL,
    CONSTRAINT account_kind_is_charted CHECK (kind IN (
        'reserve', 'grant', 'receivable', 'risk', 'pot', 'wallet', 'takings', 'float', 'payout', 'fee', 'expired',
        'suspense', 'difference'
    )),
    -- `holder` first: a wallet's living lots, a merchant's takings are one short range.
    CONSTRAINT account_natural_key UNIQUE NULLS NOT DISTINCT (holder, kind, expires_on, programme, grace),
    CONSTRAINT account_reference UNIQUE (id, programme, kind),
    CONSTRAINT account_day_is_of_our_time CHECK (expires_on BETWEEN '2000-01-01' AND '2999-12-31'),
    CONSTRAINT account_only_wallets_expire CHECK (kind = 'wallet' OR (expires_on IS NULL AND NOT grace)),
    CONSTRAINT account_grace_expires CHECK (NOT grace OR expires_on IS NOT NULL),
    CONSTRAINT account_counters_grow_from_zero CHECK (debits >= 0 AND credits >= 0 AND held >= 0 AND transfers >= 0),
    CONSTRAINT account_is_not_overdrawn CHECK (
        kind IN ('reserve', 'grant', 'receivable', 'risk', 'difference') OR credits - debits - held >= 0
    ),
    CONSTRAINT account_ceiling_is_kept CHECK (
        CASE WHEN kind IN ('receivable', 'risk')
            THEN ceiling IS NOT NULL AND debits - credits BETWEEN 0 AND ceiling
            ELSE ceiling IS NULL
        END
    )
) WITH (fillfactor = 60);
COMMENT ON TABLE account IS 'Growing counters; a balance is derived. Only post_batch writes them.';

-- 4. The journal ----------------------------------------------------------------------------------------------------

CREATE TABLE entry (
    seq bigint PRIMARY KEY,
    at timestamptz NOT NULL CHECK (at BETWEEN '2000-01-01' AND '2999-12-31'),
    id uuid NOT NULL,
    ordered_by uuid,
    approved_by uuid,
    single_use_expires_at timestamptz CHECK (single_use_expires_at BETWEEN '1999-12-31' AND '3000-01-01'),
    hash_prefix integer NOT NULL,
    transfers smallint NOT NULL CHECK (transfers >= 0),
    hold_movements smallint NOT NULL CHECK (hold_movements >= 0),
    limit_counts smallint NOT NULL CHECK (limit_counts >= 0),
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,31}$'),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 24),
    single_use_digest bytea CHECK (octet_length(single_use_digest) = 16),
    evidence bytea CHECK (octet_length(evidence) = 32),
    reason text CHECK (length(reason) BETWEEN 1 AND 200),
    CONSTRAINT entry_id_is_used_once UNIQUE (id),
    CONSTRAINT entry_single_use_is_spent_once UNIQUE (single_use_expires_at, single_use_digest),
    CONSTRAINT entry_single_use_is_whole CHECK ((single_use_expires_at IS NULL) = (single_use_digest IS NULL)),
    CONSTRAINT entry_moves_something CHECK (transfers + hold_movements > 0),
    CONSTRAINT entry_two_people_differ CHECK (ordered_by <> approved_by)
);

CREATE TABLE transfer (
    seq bigint NOT NULL,
    debit_account bigint NOT NULL,
    credit_account bigint NOT NULL,
    amount bigint NOT NULL,
    undoes_seq bigint,
    undoes_line smallint,
    line smallint NOT NULL CHECK (line >= 1),
    programme smallint NOT NULL,
    flow text NOT NULL,
    debit_kind text NOT NULL,
    credit_kind text NOT NULL,
    PRIMARY KEY (seq, line),
    CONSTRAINT transfer_has_its_entry FOREIGN KEY (seq) REFERENCES entry,
    CONSTRAINT transfer_debits_its_programme FOREIGN KEY (debit_account, programme, debit_kind)
        REFERENCES account (id, programme, kind),
    CONSTRAINT transfer_credits_its_programme FOREIGN KEY (credit_account, programme, credit_kind)
        REFERENCES account (id, programme, kind),
    CONSTRAINT transfer_flow_is_known FOREIGN KEY (programme, flow) REFERENCES programme_flow,
    CONSTRAINT transfer_undoes_a_transfer FOREIGN KEY (undoes_seq, undoes_line) REFERENCES transfer (seq, line),
    CONSTRAINT transfer_amount_is_positive CHECK (amount BETWEEN 1 AND 999999999999),
    CONSTRAINT transfer_has_two_accounts CHECK (debit_account <> credit_account),
    CONSTRAINT transfer_flow_is_charted CHECK (
        CASE flow
            WHEN 'payment' THEN debit_kind = 'wallet' AND credit_kind = 'takings'
            WHEN 'top_up' THEN debit_kind = 'reserve' AND credit_kind = 'wallet'
            WHEN 'refund' THEN debit_kind = 'takings' AND credit_kind = 'wallet'
            WHEN 'float_buy' THEN debit_kind = 'reserve' AND credit_kind = 'float'
            WHEN 'float_sell' THEN debit_kind = 'float' AND credit_kind = 'wallet'
            WHEN 'float_back' THEN debit_kind = 'float' AND credit_kind = 'reserve'
            WHEN 'sell_codes' THEN debit_kind = 'reserve' AND credit_kind = 'pot'
            WHEN 'redeem' THEN debit_kind = 'pot' AND credit_kind = 'wallet'
            WHEN 'codes_back' THEN debit_kind = 'pot' AND credit_kind = 'reserve'
            WHEN 'codes_expire' THEN debit_kind = 'pot' AND credit_kind = 'expired'
            WHEN 'fund' THEN debit_kind = 'grant' AND credit_kind = 'pot'
            WHEN 'unfund' THEN debit_kind = 'pot' AND credit_kind = 'grant'
            WHEN 'bonus' THEN debit_kind = 'pot' AND credit_kind = 'wallet'
            WHEN 'bonus_back' THEN debit_kind = 'wallet' AND credit_kind = 'pot'
            WHEN 'benefit' THEN debit_kind = 'pot' AND credit_kind = 'wallet'
            WHEN 'benefit_back' THEN debit_kind = 'wallet' AND credit_kind = 'pot'
            WHEN 'gift' THEN debit_kind = 'wallet' AND credit_kind = 'wallet'
            WHEN 'gift_back' THEN debit_kind = 'wallet' AND credit_kind = 'wallet'
            WHEN 'supply' THEN debit_kind = 'takings' AND credit_kind = 'takings'
            WHEN 'supply_back' THEN debit_kind = 'takings' AND credit_kind = 'takings'
            WHEN 'donate' THEN debit_kind = 'takings' AND credit_kind = 'takings'
            WHEN 'succession' THEN debit_kind IN ('wallet', 'takings') AND credit_kind = debit_kind
            WHEN 'refund_advance' THEN debit_kind = 'receivable' AND credit_kind = 'wallet'
            WHEN 'recover' THEN debit_kind = 'takings' AND credit_kind = 'receivable'
            WHEN 'collect' THEN debit_kind IN ('reserve', 'grant') AND credit_kind = 'receivable'
            WHEN 'settle' THEN debit_kind = 'takings' AND credit_kind = 'payout'
            WHEN 'payout_failed' THEN debit_kind = 'payout' AND credit_kind = 'takings'
            WHEN 'fee' THEN debit_kind = 'takings' AND credit_kind = 'fee'
            WHEN 'fee_back' THEN debit_kind = 'fee' AND credit_kind = 'takings'
            WHEN 'paid_out' THEN debit_kind = 'payout' AND credit_kind IN ('reserve', 'grant')
            WHEN 'paid_back' THEN debit_kind IN ('reserve', 'grant') AND credit_kind = 'payout'
            WHEN 'fee_out' THEN debit_kind = 'fee' AND credit_kind IN ('reserve', 'grant')
            WHEN 'expire' THEN debit_kind = 'wallet' AND credit_kind = 'expired'
            WHEN 'expire_back' THEN debit_kind = 'expired' AND credit_kind = 'wallet'
            WHEN 'release' THEN debit_kind = 'expired' AND credit_kind IN ('reserve', 'grant')
            WHEN 'overlap' THEN debit_kind = 'risk' AND credit_kind = 'takings'
            WHEN 'overlap_back' THEN debit_kind = 'wallet' AND credit_kind = 'risk'
            WHEN 'overlap_covered' THEN debit_kind IN ('reserve', 'grant') AND credit_kind = 'risk'
            WHEN 'unmatched' THEN debit_kind = 'reserve' AND credit_kind = 'suspense'
            WHEN 'matched' THEN debit_kind = 'suspense' AND credit_kind = 'wallet'
            WHEN 'sent_back' THEN debit_kind = 'suspense' AND credit_kind = 'reserve'
            WHEN 'difference' THEN (debit_kind = 'difference' AND credit_kind IN ('reserve', 'grant'))
                OR (credit_kind = 'difference' AND debit_kind IN ('reserve', 'grant'))
            WHEN 'top_up_cancel' THEN debit_kind = 'wallet' AND credit_kind = 'reserve'
            WHEN 'lawful_return' THEN debit_kind = 'wallet' AND credit_kind = 'reserve'
            ELSE false
        END
    ),
    CONSTRAINT transfer_undoing_names_its_line CHECK (
        (flow IN (
            'refund', 'refund_advance', 'bonus_back', 'benefit_back', 'gift_back', 'supply_back', 'payout_failed',
            'fee_back', 'paid_back', 'expire_back', 'top_up_cancel'
        )) = (undoes_seq IS NOT NULL)
        AND (undoes_seq IS NULL) = (undoes_line IS NULL)
    )
);
CREATE INDEX transfer_by_debit_account ON transfer (debit_account, seq);
CREATE INDEX transfer_by_credit_account ON transfer (credit_account, seq);

CREATE TABLE undone (
    seq bigint NOT NULL,
    line smallint NOT NULL,
    amount bigint NOT NULL,
    undone bigint NOT NULL,
    PRIMARY KEY (seq, line),
    FOREIGN KEY (seq, line) REFERENCES transfer (seq, line),
    CONSTRAINT undone_not_more_than_moved CHECK (undone BETWEEN 1 AND amount)
) WITH (fillfactor = 80);
COMMENT ON TABLE undone IS 'How much of a transfer has been undone. Only post_batch writes it.';

CREATE TABLE hold (
    id uuid PRIMARY KEY,
    seq bigint NOT NULL REFERENCES entry,
    wallet uuid NOT NULL,
    credit_holder uuid NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at BETWEEN '1999-12-31' AND '3000-01-02'),
    flow text NOT NULL CONSTRAINT hold_is_for_payments CHECK (flow = 'payment'),
    credit_kind text NOT NULL CHECK (credit_kind = 'takings')
);
CREATE INDEX hold_by_seq ON hold (seq);
CREATE INDEX hold_by_expires_at ON hold (expires_at);

CREATE TABLE hold_movement (
    seq bigint NOT NULL REFERENCES entry,
    account bigint NOT NULL REFERENCES account,
    amount bigint NOT NULL CONSTRAINT hold_movement_amount_is_positive CHECK (amount BETWEEN 1 AND 999999999999),
    hold uuid NOT NULL REFERENCES hold,
    line smallint NOT NULL CHECK (line >= 1),
    movement text NOT NULL CHECK (movement IN ('placed', 'captured', 'released')),
    PRIMARY KEY (seq, line)
);

CREATE TABLE hold_line (
    hold uuid NOT NULL REFERENCES hold,
    account bigint NOT NULL REFERENCES account,
    number smallint NOT NULL,
    placed bigint NOT NULL CHECK (placed > 0),
    captured bigint NOT NULL DEFAULT 0 CHECK (captured >= 0),
    released bigint NOT NULL DEFAULT 0 CHECK (released >= 0),
    PRIMARY KEY (hold, account),
    CONSTRAINT hold_line_not_more_than_placed CHECK (captured + released <= placed)
) WITH (fillfactor = 80);
COMMENT ON TABLE hold_line IS 'What a hold set aside on each account, and what became of it. Only post_batch writes it.';

CREATE TABLE limit_counter (
    id bigint PRIMARY KEY,
    subject uuid NOT NULL,
    day_used bigint NOT NULL DEFAULT 0,
    month_used bigint NOT NULL DEFAULT 0,
    total_used bigint NOT NULL DEFAULT 0,
    day date NOT NULL CHECK (day BETWEEN '1999-12-31' AND '3000-01-01'),
    family text NOT NULL CHECK (length(family) BETWEEN 1 AND 200),
    CONSTRAINT limit_counter_natural_key UNIQUE (subject, family),
    CONSTRAINT limit_counter_not_below_zero CHECK (day_used >= 0 AND month_used >= 0 AND total_used >= 0)
) WITH (fillfactor = 60);
COMMENT ON TABLE limit_counter IS 'What counted on the last day that counted, in its month, and ever. Only post_batch writes it.';

CREATE TABLE limit_count (
    seq bigint NOT NULL REFERENCES entry,
    counter bigint NOT NULL REFERENCES limit_counter,
    amount bigint NOT NULL CHECK (amount <> 0),
    day date NOT NULL CHECK (day BETWEEN '1999-12-31' AND '3000-01-01'),
    line smallint NOT NULL CHECK (line >= 1),
    PRIMARY KEY (seq, line)
);

CREATE TABLE refused_instruction (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL,
    caller text NOT NULL CHECK (length(caller) BETWEEN 1 AND 200),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 24),
    code text NOT NULL,
    facts jsonb NOT NULL
);
CREATE INDEX refused_instruction_by_caller ON refused_instruction (caller, at);

-- 5. Guards of the journal ------------------------------------------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_is_append_only';
END $$;

CREATE FUNCTION require_end_of_book() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM added WHERE added.seq <= (SELECT book.seq FROM book)) THEN
        RAISE EXCEPTION 'the book only grows at its end' USING ERRCODE = 'check_violation',
            CONSTRAINT = TG_TABLE_NAME || '_grows_at_the_end';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION require_posted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.seq > (SELECT book.seq FROM book) THEN
        RAISE EXCEPTION 'entry % was not posted', NEW.seq USING ERRCODE = 'check_violation',
            CONSTRAINT = 'entry_is_posted';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION require_account_posted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.id > (SELECT book.account_id FROM book) THEN
        RAISE EXCEPTION 'account % was opened outside the book', NEW.id USING ERRCODE = 'check_violation',
            CONSTRAINT = 'account_is_posted';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION require_counter_posted() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.id > (SELECT book.counter_id FROM book) THEN
        RAISE EXCEPTION 'counter % was opened outside the book', NEW.id USING ERRCODE = 'check_violation',
            CONSTRAINT = 'limit_counter_is_posted';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION require_kind_of_funding() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added JOIN programme ON programme.id = added.programme
        WHERE (programme.funding = 'yen' AND added.kind = 'grant')
           OR (programme.funding = 'grant' AND added.kind = 'reserve')
    ) THEN
        RAISE EXCEPTION 'a programme is funded by residents'' yen or by a grant, never both'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_kind_fits_funding';
    END IF;
    IF EXISTS (
        SELECT FROM added JOIN programme ON programme.id = added.programme
        WHERE added.ceiling IS DISTINCT FROM
            CASE added.kind WHEN 'receivable' THEN receivable_max WHEN 'risk' THEN risk_max END
    ) THEN
        RAISE EXCEPTION 'a ceiling is the programme''s' USING ERRCODE = 'check_violation',
            CONSTRAINT = 'account_ceiling_is_the_programmes';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION require_unsettled() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- The lock makes "not in the book" true until commit.
    PERFORM FROM book FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM added JOIN entry ON entry.id = added.id) THEN
        RAISE EXCEPTION 'an id that settled can''t be refused' USING ERRCODE = 'check_violation',
            CONSTRAINT = 'refused_instruction_never_settled';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER account_kind_fits_funding AFTER INSERT ON account
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION require_kind_of_funding();
CREATE TRIGGER refused_instruction_never_settled AFTER INSERT ON refused_instruction
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION require_unsettled();
CREATE CONSTRAINT TRIGGER entry_is_posted AFTER INSERT ON entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_posted();
CREATE CONSTRAINT TRIGGER account_is_posted AFTER INSERT ON account
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_account_posted();
CREATE CONSTRAINT TRIGGER limit_counter_is_posted AFTER INSERT ON limit_counter
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION require_counter_posted();

DO $$
DECLARE journal text;
BEGIN
    FOREACH journal IN ARRAY ARRAY['entry', 'transfer', 'hold', 'hold_movement', 'limit_count'] LOOP
        EXECUTE format(
            'CREATE TRIGGER %I AFTER INSERT ON %I REFERENCING NEW TABLE AS added
             FOR EACH STATEMENT EXECUTE FUNCTION require_end_of_book()', journal || '_grows_at_the_end', journal);
    END LOOP;
    FOREACH journal IN ARRAY ARRAY[
        'entry', 'transfer', 'hold', 'hold_movement', 'limit_count', 'checkpoint', 'refused_instruction',
        'programme_flow_change', 'book_change'
    ] LOOP
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
             FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', journal || '_is_append_only', journal);
    END LOOP;
END $$;

-- 6. Posting --------------------------------------------------------------------------------------------------------
-- `post_batch` is the only way to the counters. Each step reads the new rows of the journal and nothing else.

CREATE FUNCTION refuse_batch(broken text, meaning text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', meaning USING ERRCODE = 'check_violation', CONSTRAINT = broken;
END $$;

CREATE FUNCTION is_undone_by(undoing text, undone text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE undoing
        WHEN 'refund' THEN undone = 'payment'
        WHEN 'refund_advance' THEN undone = 'payment'
        WHEN 'bonus_back' THEN undone = 'bonus'
        WHEN 'benefit_back' THEN undone = 'benefit'
        WHEN 'gift_back' THEN undone = 'gift'
        WHEN 'supply_back' THEN undone = 'supply'
        WHEN 'payout_failed' THEN undone = 'settle'
        WHEN 'fee_back' THEN undone = 'fee'
        WHEN 'paid_back' THEN undone = 'paid_out'
        WHEN 'expire_back' THEN undone = 'expire'
        WHEN 'top_up_cancel' THEN undone IN ('top_up', 'float_sell')
        ELSE false
    END
$$;

CREATE FUNCTION check_order(first bigint, last bigint, now_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    found record;
    written bigint;
BEGIN
    SELECT count(*) AS entries, min(at) AS earliest, max(at) AS latest, sum(transfers + hold_movements + limit_counts) AS lines
        INTO found FROM entry WHERE seq BETWEEN first AND last;
    IF found.entries <> last - first + 1 OR last < first THEN
        PERFORM refuse_batch('book_has_no_gap', format('entries %s to %s are not all there', first, last));
    END IF;
    IF found.earliest <> found.latest OR found.earliest < now_at THEN
        PERFORM refuse_batch('book_time_never_falls', 'a batch has one instant, never before the last one''s');
    END IF;
    IF found.latest > clock_timestamp() + (SELECT clock_ahead_max FROM book) THEN
        PERFORM refuse_batch('book_time_is_not_ahead', 'the instant lies ahead of the server''s clock');
    END IF;
    SELECT (SELECT count(*) FROM transfer WHERE seq BETWEEN first AND last)
         + (SELECT count(*) FROM hold_movement WHERE seq BETWEEN first AND last)
         + (SELECT count(*) FROM limit_count WHERE seq BETWEEN first AND last) INTO written;
    IF written <> found.lines THEN
        PERFORM refuse_batch('entry_has_its_lines', 'an entry has other lines than it says');
    END IF;
    IF EXISTS (SELECT FROM entry JOIN refused_instruction USING (id) WHERE seq BETWEEN first AND last) THEN
        PERFORM refuse_batch('entry_id_was_not_refused', 'an id that was refused can''t settle');
    END IF;
END $$;

CREATE FUNCTION check_transfers(first bigint, last bigint, today date) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM transfer t JOIN programme_flow f USING (programme, flow)
        WHERE t.seq BETWEEN first AND last AND NOT f.is_on
    ) THEN
        PERFORM refuse_batch('transfer_flow_is_on', 'a flow is switched off for its programme');
    END IF;
    IF EXISTS (
        SELECT FROM transfer t JOIN entry e USING (seq)
        WHERE t.seq BETWEEN first AND last AND (e.ordered_by IS NULL OR e.approved_by IS NULL)
          AND t.flow IN ('float_back', 'benefit_back', 'gift_back', 'supply_back', 'succession', 'fee_back',
                         'expire_back', 'lawful_return')
    ) THEN
        PERFORM refuse_batch('entry_needs_two_people', 'one person orders this and another approves it');
    END IF;
    IF EXISTS (
        SELECT FROM transfer t JOIN account d ON d.id = t.debit_account
        WHERE t.seq BETWEEN first AND last AND d.expires_on < today
          AND t.flow NOT IN ('expire', 'bonus_back', 'benefit_back', 'gift_back')
    ) THEN
        PERFORM refuse_batch('transfer_value_is_alive', 'a lot is not usable after its last day');
    END IF;
    IF EXISTS (
        SELECT FROM transfer t JOIN account d ON d.id = t.debit_account JOIN account c ON c.id = t.credit_account
        WHERE t.seq BETWEEN first AND last AND t.flow = 'recover' AND d.holder <> c.holder
    ) THEN
        PERFORM refuse_batch('transfer_recovers_its_own_debt', 'takings pay their own merchant''s debt');
    END IF;
    IF EXISTS (
        SELECT FROM transfer t JOIN account d ON d.id = t.debit_account JOIN account c ON c.id = t.credit_account
        WHERE t.seq BETWEEN first AND last AND t.debit_kind = 'wallet' AND t.credit_kind = 'wallet'
          AND (d.expires_on, d.grace) IS DISTINCT FROM (c.expires_on, c.grace)
    ) THEN
        PERFORM refuse_batch('transfer_keeps_the_day', 'value moved between wallets keeps its last day');
    END IF;
END $$;

CREATE FUNCTION post_undoing(first bigint, last bigint, today date) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM transfer t
        JOIN transfer o ON o.seq = t.undoes_seq AND o.line = t.undoes_line
        JOIN account od ON od.id = o.debit_account
        JOIN account oc ON oc.id = o.credit_account
        JOIN account td ON td.id = t.debit_account
        JOIN account tc ON tc.id = t.credit_account
        JOIN programme p ON p.id = t.programme
        WHERE t.seq BETWEEN first AND last AND t.undoes_seq IS NOT NULL
          AND NOT coalesce(
            is_undone_by(t.flow, o.flow)
            -- Out of the account it went to (a merchant's debt stands in for his takings) ...
            AND (td.id = oc.id OR (t.flow = 'refund_advance' AND td.holder = oc.holder))
            -- ... and back to where it came from, or, once that has ended, to a grace lot of the same wallet that
            -- ends within a year and never after its last legal day.
            AND (
                tc.id = od.id
                OR (od.kind = 'wallet' AND tc.kind = 'wallet' AND tc.grace AND NOT od.grace AND tc.holder = od.holder
                    AND od.expires_on < today AND tc.expires_on <= today + 366
                    AND tc.expires_on <= coalesce(od.expires_on + p.extension_days_max, tc.expires_on))
                OR (t.flow = 'top_up_cancel' AND o.flow = 'float_sell' AND tc.holder = od.holder)
            ), false)
    ) THEN
        PERFORM refuse_batch('transfer_mirrors_what_it_undoes', 'an undoing goes back the way the value came');
    END IF;
    INSERT INTO undone AS u (seq, line, amount, undone)
        SELECT o.seq, o.line, o.amount, sum(t.amount)::bigint
        FROM transfer t JOIN transfer o ON o.seq = t.undoes_seq AND o.line = t.undoes_line
        WHERE t.seq BETWEEN first AND last AND t.undoes_seq IS NOT NULL
        GROUP BY o.seq, o.line, o.amount
    ON CONFLICT (seq, line) DO UPDATE SET undone = u.undone + EXCLUDED.undone;
END $$;

CREATE FUNCTION post_holds(first bigint, last bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (
        SELECT FROM hold h WHERE h.seq BETWEEN first AND last AND NOT EXISTS (
            SELECT FROM hold_movement m WHERE m.seq = h.seq AND m.hold = h.id AND m.movement = 'placed')
    ) THEN
        PERFORM refuse_batch('hold_sets_something_aside', 'a hold without value');
    END IF;
    IF NOT EXISTS (SELECT FROM hold_movement WHERE seq BETWEEN first AND last) THEN
        RETURN;
    END IF;
    INSERT INTO hold_line (hold, account, number, placed)
        SELECT hold, account, line, amount FROM hold_movement
        WHERE seq BETWEEN first AND last AND movement = 'placed';
    UPDATE hold_line l SET captured = l.captured + m.captured, released = l.released + m.released
        FROM (
            SELECT hold, account,
                   coalesce(sum(amount) FILTER (WHERE movement = 'captured'), 0)::bigint AS captured,
                   coalesce(sum(amount) FILTER (WHERE movement = 'released'), 0)::bigint AS released
            FROM hold_movement WHERE seq BETWEEN first AND last AND movement <> 'placed'
            GROUP BY hold, account
        ) m
        WHERE l.hold = m.hold AND l.account = m.account;
    IF EXISTS (
        SELECT FROM hold_movement m LEFT JOIN hold_line l USING (hold, account)
        WHERE m.seq BETWEEN first AND last AND l.hold IS NULL
    ) THEN
        PERFORM refuse_batch('hold_movement_has_its_line', 'a hold moves what it set aside and nothing else');
    END IF;
END $$;

CREATE FUNCTION post_accounts(first bigint, last bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- One update an account a batch: what is only so inside a batch can't trip a CHECK.
    UPDATE account a SET
        debits = a.debits + m.debits, credits = a.credits + m.credits, held = a.held + m.held,
        transfers = a.transfers + m.transfers
    FROM (
        SELECT account, sum(debit)::bigint AS debits, sum(credit)::bigint AS credits, sum(held)::bigint AS held,
               sum(transfer)::bigint AS transfers
        FROM (
            SELECT debit_account AS account, amount AS debit, 0 AS credit, 0 AS held, 1 AS transfer
                FROM transfer WHERE seq BETWEEN first AND last
            UNION ALL
            SELECT credit_account, 0, amount, 0, 1 FROM transfer WHERE seq BETWEEN first AND last
            UNION ALL
            SELECT account, 0, 0, CASE movement WHEN 'placed' THEN amount ELSE -amount END, 0
                FROM hold_movement WHERE seq BETWEEN first AND last
        ) line GROUP BY account
    ) m
    WHERE a.id = m.account;
END $$;

CREATE FUNCTION post_limits(first bigint, last bigint, today date) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE limit_counter c SET
        day = today,
        day_used = CASE WHEN c.day = today THEN c.day_used ELSE 0 END + m.on_day,
        month_used = CASE WHEN date_trunc('month', c.day) = date_trunc('month', today) THEN c.month_used ELSE 0 END
            + m.in_month,
        total_used = c.total_used + m.total
    FROM (
        SELECT counter, sum(amount)::bigint AS total,
               coalesce(sum(amount) FILTER (WHERE day = today), 0)::bigint AS on_day,
               coalesce(sum(amount) FILTER (WHERE date_trunc('month', day) = date_trunc('month', today)), 0)::bigint
                   AS in_month
        FROM limit_count WHERE seq BETWEEN first AND last GROUP BY counter
    ) m
    WHERE c.id = m.counter;
END $$;

CREATE FUNCTION lock_book() RETURNS book LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    -- Not FOR UPDATE: that would also shut out the foreign keys' checks.
    SELECT * FROM book FOR NO KEY UPDATE
$$;

CREATE FUNCTION post_batch(last bigint, last_hash bytea, accounts bigint, counters bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
-- Counters are always found by their key: a plan made while a table was small must never scan it when it is large.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    b book;
    now_at timestamptz;
    today date;
BEGIN
    SELECT * INTO b FROM book FOR NO KEY UPDATE;
    IF NOT b.is_open THEN
        PERFORM refuse_batch('book_is_open', 'the book is closed');
    END IF;
    PERFORM check_order(b.seq + 1, last, b.at);
    SELECT at INTO now_at FROM entry WHERE seq = last;
    -- The day is Japan's, which has had one offset since 1951.
    today := ((now_at AT TIME ZONE 'UTC') + interval '9 hours')::date;
    INSERT INTO checkpoint (seq, at, hash) VALUES (last, now_at, last_hash);
    PERFORM check_transfers(b.seq + 1, last, today);
    PERFORM post_undoing(b.seq + 1, last, today);
    PERFORM post_holds(b.seq + 1, last);
    PERFORM post_accounts(b.seq + 1, last);
    PERFORM post_limits(b.seq + 1, last, today);
    IF (SELECT (count(*), coalesce(max(id), b.account_id)) FROM account WHERE id > b.account_id)
            <> (accounts - b.account_id, accounts)
        OR (SELECT (count(*), coalesce(max(id), b.counter_id)) FROM limit_counter WHERE id > b.counter_id)
            <> (counters - b.counter_id, counters) THEN
        PERFORM refuse_batch('book_numbers_have_no_gap', 'accounts and counters are numbered in the book''s order');
    END IF;
    UPDATE book SET seq = last, at = now_at, hash = last_hash, account_id = accounts, counter_id = counters;
END $$;

-- 7. What two people decide -----------------------------------------------------------------------------------------

CREATE FUNCTION switch_flow(programme_code text, flow_name text, turn_on boolean, person uuid, other_person uuid, at timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE p programme;
BEGIN
    PERFORM FROM book FOR NO KEY UPDATE;
    SELECT * INTO STRICT p FROM programme WHERE code = programme_code;
    INSERT INTO programme_flow (programme, funding, flow, is_on, ordered_by, approved_by, changed_at)
        VALUES (p.id, p.funding, flow_name, turn_on, person, other_person, at)
    ON CONFLICT (programme, flow) DO UPDATE
        SET is_on = EXCLUDED.is_on, ordered_by = EXCLUDED.ordered_by, approved_by = EXCLUDED.approved_by,
            changed_at = EXCLUDED.changed_at;
    INSERT INTO programme_flow_change (programme, flow, is_on, ordered_by, approved_by, changed_at)
        VALUES (p.id, flow_name, turn_on, person, other_person, at);
    UPDATE book SET programmes_version = programmes_version + 1;
END $$;

CREATE FUNCTION open_programme(
    programme_code text, funded_by text, draw_rank integer, bucket text, extension_days integer, receivable bigint, risk bigint
) RETURNS smallint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE new_id smallint;
BEGIN
    PERFORM FROM book FOR NO KEY UPDATE;
    SELECT coalesce(max(id), 0) + 1 INTO new_id FROM programme;
    INSERT INTO programme (id, code, funding, rank, expiry_bucket, extension_days_max, receivable_max, risk_max)
        VALUES (new_id, programme_code, funded_by, draw_rank, bucket, extension_days, receivable, risk);
    UPDATE book SET programmes_version = programmes_version + 1;
    RETURN new_id;
END $$;

CREATE FUNCTION open_or_close_book(open boolean, person uuid, other_person uuid, at timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM FROM book FOR NO KEY UPDATE;
    INSERT INTO book_change (is_open, ordered_by, approved_by, changed_at) VALUES (open, person, other_person, at);
    UPDATE book SET is_open = open;
END $$;
