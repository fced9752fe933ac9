-- mailroom:pulse
-- The highest number that was given to a delivery: it moves with each one that comes. One page is
-- read, and no row; a sequence belongs to no snapshot.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tokens_id_seq
