CREATE TABLE meguri.region (
    code text PRIMARY KEY CONSTRAINT region_code_form CHECK (code ~ '^[a-z0-9-]{2,32}$'),
    name text NOT NULL CONSTRAINT region_name_length CHECK (length(name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE meguri.region IS 'One city''s currency a row. Its book is in the schema region_<code>.';
