-- Marks: an account's counters every 256 transfers, so that an old balance of the busiest merchant is found as quickly
-- as a new one. They repeat what the journal says and can be made again from it at any time.

CREATE TABLE account_mark (
    account bigint NOT NULL REFERENCES account,
    seq bigint NOT NULL REFERENCES checkpoint,
    debits bigint NOT NULL CHECK (debits >= 0),
    credits bigint NOT NULL CHECK (credits >= 0),
    PRIMARY KEY (account, seq)
);
COMMENT ON TABLE account_mark IS 'An account''s counters after the batch that ended with seq.';
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

CREATE FUNCTION mark_accounts() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT
-- The two transition tables have no index; post_batch, which calls this, switches hash joins off.
SET enable_hashjoin = on AS $$
BEGIN
    -- post_batch has written the batch's checkpoint before it moves the counters.
    INSERT INTO account_mark (account, seq, debits, credits)
        SELECT id, (SELECT max(checkpoint.seq) FROM checkpoint), posted.debits, posted.credits
        FROM posted JOIN before USING (id)
        WHERE before.transfers / 256 < posted.transfers / 256;
    RETURN NULL;
END $$;
CREATE TRIGGER account_is_marked AFTER UPDATE ON account
    REFERENCING OLD TABLE AS before NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION mark_accounts();
REVOKE EXECUTE ON FUNCTION mark_accounts FROM PUBLIC;
