-- Marks: an account's counters every 256 transfers, so that an old balance of the busiest merchant is found as quickly
-- as a new one. They repeat what the journal says and can be made again from it at any time.

CREATE TABLE account_mark (
    account bigint NOT NULL REFERENCES account,
    seq bigint NOT NULL REFERENCES checkpoint,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (account, seq)
);
COMMENT ON TABLE account_mark IS 'An account''s counters after the batch that ended with seq. Only post_batch writes them.';
CREATE TRIGGER account_mark_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_mark
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

INSERT INTO account_mark (account, seq, debits, credits)
    SELECT account, seq, max(debits), max(credits)
    FROM (
        SELECT account, (SELECT min(c.seq) FROM checkpoint c WHERE c.seq >= line.seq) AS seq,
               sum(debit) OVER w AS debits, sum(credit) OVER w AS credits, row_number() OVER w AS number
        FROM (
            SELECT debit_account AS account, seq, line, amount AS debit, 0 AS credit FROM transfer
            UNION ALL
            SELECT credit_account, seq, line, 0, amount FROM transfer
        ) line
        WINDOW w AS (PARTITION BY account ORDER BY line.seq, line.line)
    ) running
    WHERE account IN (SELECT id FROM account WHERE transfers >= 256)
    GROUP BY account, seq
    HAVING min(number - 1) / 256 < max(number) / 256;

CREATE OR REPLACE FUNCTION post_accounts(first bigint, last bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- One update an account a batch: what is only so inside a batch can't trip a CHECK.
    WITH moved AS (
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
    ), posted AS (
        UPDATE account a SET
            debits = a.debits + m.debits, credits = a.credits + m.credits, held = a.held + m.held,
            transfers = a.transfers + m.transfers
        FROM moved m WHERE a.id = m.account
        RETURNING a.id, a.debits, a.credits, a.transfers, m.transfers AS added
    )
    INSERT INTO account_mark (account, seq, debits, credits)
        SELECT id, last, debits, credits FROM posted WHERE (transfers - added) / 256 < transfers / 256;
END $$;
