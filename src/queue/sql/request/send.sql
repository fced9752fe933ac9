-- mailroom:request
-- Asks for a mail of kind $1 to $2 with data $3, language $4 and key $5, not before $6.
SELECT send_mail($1::text, $2::text, data => $3::text::jsonb, locale => $4::text, key => $5::text,
                 not_before => $6::text::timestamptz) AS id
