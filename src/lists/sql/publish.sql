-- mailroom:publish
-- An issue of list $1 from template $2 under key $3, with data $4, not before $5, to those who fit $6.
SELECT publish($1::text, $2::text, $3::text, $4::text::jsonb, $5::text::timestamptz, $6::text::jsonb)
