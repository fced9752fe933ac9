CREATE TYPE public.account_status AS ENUM (
    'provisioned',
    'active',
    'suspended'
);
CREATE TYPE public.delivery_cause AS ENUM (
    'throttled',
    'away',
    'gateway',
    'unknown',
    'fault',
    'busy',
    'rejected',
    'account',
    'credentials',
    'quota',
    'sender',
    'setup',
    'template',
    'output',
    'unsigned',
    'ineligible',
    'expired',
    'dropped',
    'superseded',
    'limited',
    'format',
    'stopped',
    'unsubscribed'
);
CREATE TYPE public.delivery_state AS ENUM (
    'pending',
    'leased',
    'sent',
    'failed',
    'expired',
    'superseded'
);
CREATE TYPE public.issue_state AS ENUM (
    'publishing',
    'paused',
    'cancelled',
    'published'
);
CREATE TYPE public.job_type AS ENUM (
    'mailroom'
);
CREATE DOMAIN public.moment AS timestamp with time zone
	CONSTRAINT moment_check CHECK (isfinite(VALUE));
CREATE TYPE public.subscriber_state AS ENUM (
    'pending',
    'confirmed',
    'unsubscribed',
    'suppressed'
);
CREATE TYPE public.token_action AS ENUM (
    'activation',
    'password_recovery'
);
CREATE DOMAIN public.tries AS integer
	CONSTRAINT tries_check CHECK ((VALUE >= 0));
CREATE FUNCTION public.confirm(token text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    one   tokens;
    found text;
BEGIN
    IF token IS NULL OR token !~ '^[A-Za-z0-9_-]{86}$' THEN
        RETURN NULL;
    END IF;
    SELECT t.* INTO one
    FROM tokens t
    WHERE t.secret = substring(decode(translate(token, '-_', '+/') || '==', 'base64') FOR 32)
        AND t.kind IN (SELECT l.list || '.confirm' FROM lists l)
    FOR UPDATE;
    IF one.consumed_at IS NULL AND one.expires_at > extract(epoch FROM now()) THEN
        UPDATE subscribers s
        SET state = 'confirmed', confirmed_at = now(), changed_at = now(), how = 'confirm'
        WHERE s.id = one.subject::bigint AND s.state IN ('pending', 'unsubscribed');
        UPDATE tokens t SET consumed_at = extract(epoch FROM now()) WHERE t.id = one.id;
    END IF;
    SELECT s.list INTO found
    FROM subscribers s
    WHERE s.id = one.subject::bigint AND s.list || '.confirm' = one.kind AND s.state = 'confirmed';
    RETURN found;
END;
$_$;
CREATE FUNCTION public.enqueue_issue(of_queue text, most integer, share_of bigint, OUT made integer, OUT more boolean) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    one    issues;
    k      kinds;
    room   bigint;
    looked bigint;
    last   bigint;
BEGIN
    made := 0;
    more := false;
    -- One at a time: whoever comes second leaves it to the first.
    SELECT i.* INTO one
    FROM issues i
    WHERE i.state = 'publishing' AND i.id = (
        SELECT min(n.id)
        FROM issues n
        JOIN kinds ON kinds.kind = n.list
        WHERE n.state = 'publishing' AND n.not_before <= now() AND kinds.queue = of_queue::job_type
            -- A list that is held is passed over.
            AND NOT EXISTS (
                SELECT FROM deliveries d
                WHERE d.issue IS NOT NULL AND d.state = 'pending' AND d.cause = 'template'
                    AND d.kind = n.list
            )
    )
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT kinds.* INTO STRICT k FROM kinds WHERE kinds.kind = one.list;
    -- What waits for a cause (a retry, a hold, a pause) may wait for long, and must not keep the others
    -- waiting.
    SELECT least(
        most - count(*) FILTER (WHERE d.cause IS NULL AND d.queue = k.queue),
        share_of - count(*) - (
            SELECT coalesce(sum(t.sent), 0)
            FROM tallies t
            WHERE t.issue <> 0 AND t.minute > now() - interval '24 hours 1 minute'
        )
    )
    INTO room
    FROM deliveries d
    WHERE d.issue IS NOT NULL AND d.state <= 'leased';
    IF room <= 0 THEN
        RETURN;
    END IF;
    WITH next AS MATERIALIZED (
        SELECT s.id, s.address, s.locale, s.data
        FROM subscribers s
        WHERE s.list = one.list AND s.state = 'confirmed' AND s.id > one.cursor AND s.id <= one.upto
        ORDER BY s.id
        LIMIT room
    ),
    inserted AS (
        INSERT INTO deliveries
            (queue, kind, priority, recipient, locale, reply_to, issue, subscriber)
        SELECT k.queue, k.kind, k.priority, next.address, next.locale, k.reply_to, one.id, next.id
        FROM next
        WHERE one.filter IS NULL OR fits(next.data, one.filter)
        ORDER BY next.id
        RETURNING id
    )
    SELECT (SELECT count(*) FROM next), (SELECT max(next.id) FROM next),
        (SELECT count(*) FROM inserted)
    INTO looked, last, made;
    more := looked = room;
    UPDATE issues i
    SET cursor = CASE WHEN more THEN last ELSE i.upto END, enqueued = i.enqueued + made,
        state = CASE WHEN more THEN i.state ELSE 'published' END
    WHERE i.id = one.id;
    IF made > 0 THEN
        PERFORM notify_mailroom();
    END IF;
END;
$$;
CREATE FUNCTION public.fits(data jsonb, filter jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT filter IS NULL OR NOT EXISTS (
        SELECT FROM jsonb_each_text(filter) f WHERE data ->> f.key IS DISTINCT FROM f.value
    )
$$;
CREATE FUNCTION public.is_address(text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $_$
    SELECT $1 ~ '^[^[:cntrl:][:space:]@,;"<>]+@[^[:cntrl:][:space:]@,;"<>]+$' AND octet_length($1) <= 320
$_$;
CREATE FUNCTION public.limit_lock(address text) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT hashtext(address) & 1023
$$;
CREATE TABLE public.kinds (
    kind text NOT NULL,
    number smallint,
    template text,
    path text,
    signs_code boolean DEFAULT false NOT NULL,
    lifetime interval DEFAULT '00:15:00'::interval NOT NULL,
    account_status public.account_status[],
    priority smallint DEFAULT 50 NOT NULL,
    queue public.job_type DEFAULT 'mailroom'::public.job_type NOT NULL,
    sender text,
    reply_to text,
    cooldown interval,
    hourly integer,
    CONSTRAINT kinds_account_status_check CHECK ((cardinality(account_status) > 0)),
    CONSTRAINT kinds_cooldown_check CHECK (((cooldown >= '00:00:01'::interval) AND (cooldown <= '1 day'::interval))),
    CONSTRAINT kinds_hourly_check CHECK ((hourly > 0)),
    CONSTRAINT kinds_kind_check CHECK ((kind ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'::text)),
    CONSTRAINT kinds_lifetime_check CHECK (((lifetime >= '00:00:01'::interval) AND (lifetime <= '10 years'::interval))),
    CONSTRAINT kinds_number_check CHECK ((number > 0)),
    CONSTRAINT kinds_path_check CHECK ((path <> ''::text)),
    CONSTRAINT kinds_reply_to_check CHECK (public.is_address(reply_to)),
    CONSTRAINT kinds_sender_check CHECK ((sender <> ''::text)),
    CONSTRAINT kinds_template_check CHECK ((template ~ '^[A-Za-z0-9_-]{1,64}$'::text))
);
CREATE FUNCTION public.limit_mail(k public.kinds, address text) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    free timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(1835100525, limit_lock(address));
    WITH superseded AS (
        UPDATE deliveries
        SET state = 'superseded', cause = 'superseded', error = 'a newer one took its place',
            due_at = now()
        WHERE limit_key = address AND kind = k.kind AND state = 'pending'
        RETURNING id
    )
    UPDATE tokens
    SET expires_at = floor(extract(epoch FROM now()))
    WHERE id IN (SELECT id FROM superseded) AND expires_at > extract(epoch FROM now());
    SELECT greatest(
        max(gone_at) + k.cooldown,
        (array_agg(gone_at ORDER BY gone_at DESC))[k.hourly] + interval '1 hour'
    )
    INTO free
    FROM (
        SELECT CASE state WHEN 'sent' THEN due_at ELSE now() END AS gone_at
        FROM deliveries
        WHERE limit_key = address AND kind = k.kind AND state IN ('leased', 'sent')
        ORDER BY gone_at DESC
        LIMIT coalesce(k.hourly, 1)
    ) gone;
    RETURN greatest(free, now());
END;
$$;
CREATE FUNCTION public.notify_mailroom() RETURNS void
    LANGUAGE sql
    AS $$
    SELECT CASE WHEN current_setting('mailroom.notify', true) IS DISTINCT FROM 'never' THEN pg_notify(
        coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name::text,
        ''
    ) END
$$;
CREATE FUNCTION public.publish(list text, template text, key text, data jsonb DEFAULT NULL::jsonb, not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, filter jsonb DEFAULT NULL::jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    one  issues;
    made boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM lists l WHERE l.list = publish.list) THEN
        RAISE EXCEPTION 'there is no list %', coalesce(quote_literal(publish.list), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A list is a row of the table lists.';
    END IF;
    INSERT INTO issues (list, template, key, data, not_before, filter, upto, total)
    VALUES (
        publish.list, publish.template, publish.key, publish.data,
        coalesce(publish.not_before, now()), publish.filter, 0, 0
    )
    ON CONFLICT (key) DO NOTHING
    RETURNING * INTO one;
    made := FOUND;
    IF NOT made THEN
        SELECT i.* INTO STRICT one FROM issues i WHERE i.key = publish.key;
        IF one.list <> publish.list OR one.template <> publish.template THEN
            RAISE EXCEPTION 'the key % is that of an issue of %, from the template %',
                quote_literal(one.key), one.list, one.template
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        RETURN one.id;
    END IF;
    UPDATE issues i
    SET (total, upto) = (
        SELECT count(*) FILTER (WHERE publish.filter IS NULL OR fits(s.data, publish.filter)),
            coalesce(max(s.id), 0)
        FROM subscribers s
        WHERE s.list = publish.list AND s.state = 'confirmed'
    )
    WHERE i.id = one.id;
    PERFORM notify_mailroom();
    RETURN one.id;
END;
$$;
CREATE FUNCTION public.publish_test(list text, template text, address text, data jsonb DEFAULT NULL::jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    k    kinds;
    test bigint;
    mail bigint;
BEGIN
    SELECT kinds.* INTO k
    FROM lists l JOIN kinds ON kinds.kind = l.list
    WHERE l.list = publish_test.list;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no list %', coalesce(quote_literal(publish_test.list), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A list is a row of the table lists.';
    END IF;
    INSERT INTO issues (list, template, key, data, state, upto, total, enqueued)
    VALUES (
        k.kind, publish_test.template, 'test ' || gen_random_uuid(), publish_test.data, 'published',
        0, 1, 1
    )
    RETURNING id INTO test;
    INSERT INTO kinds (kind, queue, sender, reply_to)
    VALUES (k.kind || '.test', k.queue, k.sender, k.reply_to)
    ON CONFLICT (kind) DO UPDATE
    SET queue = excluded.queue, sender = excluded.sender, reply_to = excluded.reply_to;
    mail := send_mail(
        k.kind || '.test', publish_test.address, expires_at => now() + interval '1 hour'
    );
    UPDATE deliveries d
    SET issue = test, locale = s.locale, subscriber = s.id
    FROM (SELECT) one
    LEFT JOIN subscribers s ON s.list = k.kind AND lower(s.address) = lower(publish_test.address)
        AND s.state = 'confirmed'
    WHERE d.id = mail;
    RETURN mail;
END;
$$;
CREATE FUNCTION public.send_mail(kind text, recipient text, data jsonb DEFAULT NULL::jsonb, locale text DEFAULT NULL::text, key text DEFAULT NULL::text, not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, subject text DEFAULT NULL::text, reply_to text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
#variable_conflict use_column
DECLARE
    k       kinds;
    wrong   text;
    mail    bigint;
    due     timestamptz := coalesce(not_before, now());
    free    timestamptz;
    woken   boolean;
    looks   integer := 0;
BEGIN
    SELECT * INTO k FROM kinds WHERE kinds.kind = send_mail.kind;
    IF k.kind IS NULL THEN
        RAISE EXCEPTION 'there is no kind of mail %: a kind is a row of the table kinds',
            coalesce(quote_literal(kind), 'NULL') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Each condition by itself: what a branch says costs nothing before it is entered.
    IF NOT is_address(recipient) THEN
        wrong := 'recipient is not an address: one local@domain, without a name or spaces, of at most 320 bytes';
    ELSIF recipient IS NULL AND k.path IS NOT NULL THEN
        wrong := format('the kind %s has a token, so it needs a recipient', k.kind);
    ELSIF jsonb_typeof(data) <> 'object' THEN
        wrong := 'data must be a JSON object, but is of type ' || jsonb_typeof(data);
    ELSIF octet_length(data::text) > 65536 THEN
        wrong := format('data has %s bytes, and may have 65536', octet_length(data::text));
    ELSIF data ?| '{login,secret,code}' THEN
        wrong := 'data must not have the names login, secret and code: mailroom fills them';
    ELSIF num_nonnulls(locale, key, not_before, expires_at, subject, reply_to) > 0 THEN
        wrong := CASE
            WHEN locale !~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}$' THEN
                'locale must be a language tag, such as de or pt-BR'
            WHEN key = '' OR length(key) > 200 THEN
                'key must have 1 to 200 characters'
            WHEN subject = '' OR length(subject) > 200 THEN
                'subject must have 1 to 200 characters'
            WHEN subject IS NOT NULL AND k.path IS NULL THEN
                format('the kind %s has no token, so it has no subject', k.kind)
            WHEN greatest(not_before, expires_at) >= '9989-01-01' THEN
                'not_before and expires_at must be moments before the year 9989'
            WHEN not_before < now() - interval '1 minute' THEN
                'not_before is in the past'
            WHEN expires_at <= due THEN
                'expires_at is not after the moment from which the mail may go'
            WHEN NOT is_address(reply_to) THEN
                'reply_to is not an address: one local@domain, without a name or spaces, of at most 320 bytes'
        END;
        -- Not in the CASE: a subquery in it slows down each call that comes there by a sixth.
        IF subject IS NOT NULL THEN
            -- confirm() believes it: whoever may send mails must not bring people to a list.
            wrong := coalesce(wrong, (
                SELECT format('the subject of the kind %s is for subscribe() to say', k.kind)
                FROM lists l
                WHERE l.list || '.confirm' = k.kind
            ));
        END IF;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOOP
        INSERT INTO deliveries AS d (
            queue, kind, priority, due_at, expires_at, recipient, locale, reply_to, data, key
        ) VALUES (
            k.queue, k.kind, k.priority, due, expires_at, recipient, locale,
            coalesce(reply_to, k.reply_to), data, key
        )
        ON CONFLICT (queue, key) WHERE key IS NOT NULL DO NOTHING
        RETURNING d.id INTO mail;
        EXIT WHEN FOUND;
        SELECT d.id INTO mail
        FROM deliveries d WHERE d.queue = k.queue AND d.key = send_mail.key;
        -- Neither made nor there: what had the key was removed in between. Not for ever, for a trigger of
        -- the application may refuse each row.
        looks := looks + 1;
        IF FOUND OR looks > 9 THEN
            RETURN mail;
        END IF;
    END LOOP;
    -- Only what is new takes the place of what waits, and it is not yet among that.
    IF k.cooldown IS NOT NULL OR k.hourly IS NOT NULL THEN
        free := limit_mail(k, lower(recipient));
        UPDATE deliveries d
        SET limit_key = lower(send_mail.recipient),
            due_at = least(greatest(due, free), send_mail.expires_at),
            cause = CASE WHEN free > due THEN 'limited'::delivery_cause END
        WHERE d.id = mail;
        due := greatest(due, free);
    END IF;
    IF k.path IS NOT NULL THEN
        INSERT INTO tokens (id, kind, subject, expires_at)
        VALUES (
            mail, k.kind, subject,
            extract(epoch FROM coalesce(expires_at, due + k.lifetime))::bigint
        );
    END IF;
    -- PERFORM would run a statement.
    woken := wake_mailroom(k.queue);
    RETURN mail;
END;
$_$;
CREATE FUNCTION public.send_mails(kind text, recipients text[], data jsonb[] DEFAULT NULL::jsonb[], locales text[] DEFAULT NULL::text[], keys text[] DEFAULT NULL::text[], not_before timestamp with time zone DEFAULT NULL::timestamp with time zone, expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone, subjects text[] DEFAULT NULL::text[], reply_to text DEFAULT NULL::text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
#variable_conflict use_variable
DECLARE
    lengths CONSTANT integer[] := ARRAY[
        cardinality(recipients), cardinality(data), cardinality(locales), cardinality(keys),
        cardinality(subjects)
    ];
    lines   CONSTANT text := array_to_string(recipients, E'\n', '') || E'\n';
    k       kinds;
    as_set  boolean;
    one     record;
    place   bigint := 0;
    made    bigint := 0;
    rest    bigint := 0;
BEGIN
    IF (SELECT min(length) <> max(length) FROM unnest(lengths) length) THEN
        RAISE EXCEPTION 'the arrays of recipients, data, locales, keys and subjects have % elements',
            array_to_string(lengths, ', ', 'no')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Each that is not NULL must have one element for each mail.';
    END IF;
    SELECT * INTO k FROM kinds WHERE kinds.kind = send_mails.kind;
    -- All addresses by one match, for each match of its own builds its automaton anew. A match takes four
    -- bytes a character, and PostgreSQL gives it no more than 1 GB.
    as_set := num_nonnulls(keys, k.path, subjects, k.cooldown, k.hourly) = 0
        AND (lines IS NULL OR octet_length(lines) < 200000000
            AND lines ~ E'^(?:[^[:cntrl:][:space:]@,;"<>]+@[^[:cntrl:][:space:]@,;"<>]+\n)*$')
        AND NOT EXISTS (
            SELECT FROM (
                SELECT unnest(recipients) AS recipient, unnest(data) AS data, unnest(locales) AS locale
            ) m
            WHERE octet_length(m.recipient) > 320 OR strpos(m.recipient, E'\n') > 0
                OR jsonb_typeof(m.data) <> 'object' OR octet_length(m.data::text) > 65536
                OR m.data ?| '{login,secret,code}'
                OR m.locale !~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}$'
        );
    -- The locks of limit_mail, in one order: two calls that took them mail by mail, each in its own order,
    -- could wait for each other.
    IF k.cooldown IS NOT NULL OR k.hourly IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(1835100525, lock)
        FROM (
            SELECT DISTINCT limit_lock(lower(recipient)) AS lock FROM unnest(recipients) recipient
            ORDER BY lock
        ) locks;
    END IF;
    BEGIN
        FOR one IN
            SELECT unnest(recipients) AS recipient, unnest(data) AS data, unnest(locales) AS locale,
                unnest(keys) AS key, unnest(subjects) AS subject
            LIMIT CASE WHEN as_set THEN 1 END
        LOOP
            place := place + 1;
            -- New is what has the id just drawn; a key that is there gives an older one.
            made := made + coalesce((
                send_mail(
                    kind, one.recipient, one.data, one.locale, one.key, not_before, expires_at,
                    one.subject, reply_to
                ) = currval('tokens_id_seq')
            )::integer, 0);
        END LOOP;
    EXCEPTION WHEN invalid_parameter_value THEN
        RAISE EXCEPTION 'mail %: %', place, SQLERRM USING ERRCODE = 'invalid_parameter_value';
    END;
    IF as_set THEN
        INSERT INTO deliveries
            (queue, kind, priority, due_at, expires_at, recipient, locale, reply_to, data)
        SELECT k.queue, k.kind, k.priority, coalesce(not_before, now()), expires_at, m.recipient,
            m.locale, coalesce(reply_to, k.reply_to), m.data
        FROM (
            SELECT unnest(recipients) AS recipient, unnest(data) AS data, unnest(locales) AS locale
            OFFSET 1
        ) m;
        GET DIAGNOSTICS rest = ROW_COUNT;
    END IF;
    RETURN made + rest;
END;
$_$;
CREATE FUNCTION public.subscribe(list text, address text, data jsonb DEFAULT NULL::jsonb, locale text DEFAULT NULL::text, subject text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
#variable_conflict use_column
DECLARE
    one  subscribers;
    mail bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM lists l WHERE l.list = subscribe.list) THEN
        RAISE EXCEPTION 'there is no list %', coalesce(quote_literal(subscribe.list), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'A list is a row of the table lists.';
    END IF;
    IF is_address(subscribe.address) IS NOT TRUE THEN
        RAISE EXCEPTION 'address is not one local@domain, without a name or spaces, of at most 320 bytes'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO subscribers AS s (list, address, data, locale, subject, how)
    VALUES (
        subscribe.list, subscribe.address, subscribe.data, subscribe.locale, subscribe.subject,
        'subscribe'
    )
    ON CONFLICT (list, lower(address)) DO UPDATE
    SET address = excluded.address, data = excluded.data, locale = excluded.locale,
        subject = excluded.subject
    WHERE s.state IN ('pending', 'unsubscribed')
    RETURNING s.* INTO one;
    IF FOUND THEN
        mail := send_mail(
            kind => one.list || '.confirm', recipient => one.address, locale => one.locale,
            data => jsonb_build_object('list', one.list)
        );
        UPDATE tokens t SET subject = one.id WHERE t.id = mail;
    END IF;
END;
$$;
CREATE FUNCTION public.trg_after_account_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO tokens (account, action)
    SELECT id, 'activation' FROM inserted WHERE status = 'provisioned' ORDER BY id;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_account_status_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE deliveries d
    SET due_at = now(), cause = NULL
    FROM tokens t
    JOIN kinds k ON k.kind = t.action::text
    WHERE t.account = NEW.id AND d.id = t.id AND d.state = 'pending'
        AND d.cause IS DISTINCT FROM 'limited' AND NEW.status = ANY (k.account_status);
    IF FOUND THEN
        PERFORM notify_mailroom();
    END IF;
    IF OLD.status = 'suspended' AND NEW.status = 'provisioned' AND NOT EXISTS (
        SELECT FROM tokens
        WHERE account = NEW.id AND action = 'activation' AND consumed_at IS NULL
            AND expires_at > extract(epoch FROM now())
    ) THEN
        INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation');
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_delivery_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    -- The tokens' own trigger deletes deliveries in turn.
    IF EXISTS (SELECT FROM deleted) THEN
        DELETE FROM tokens t USING deleted
        WHERE t.id = deleted.id
            AND (t.consumed_at IS NOT NULL OR t.expires_at <= extract(epoch FROM now()));
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_kind_fits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE deliveries
    SET due_at = now(), cause = NULL
    WHERE kind = NEW.kind AND state = 'pending' AND cause IS DISTINCT FROM 'limited'
        AND (due_at <= now() OR cause IS NOT NULL);
    IF FOUND THEN
        PERFORM notify_mailroom();
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_token_consumed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    -- Rounded down: what is void is so at once.
    moment bigint := floor(extract(epoch FROM now()));
BEGIN
    IF NEW.account IS NOT NULL THEN
        UPDATE tokens
        SET expires_at = moment
        WHERE account = NEW.account AND action = NEW.action AND id <> NEW.id
            AND consumed_at IS NULL AND expires_at > moment;
    ELSE
        UPDATE tokens
        SET expires_at = moment
        WHERE subject = NEW.subject AND kind = NEW.kind AND id <> NEW.id
            AND consumed_at IS NULL AND expires_at > moment;
    END IF;
    IF NEW.action = 'activation' THEN
        UPDATE accounts SET status = 'active' WHERE id = NEW.account AND status = 'provisioned';
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_token_deleted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    DELETE FROM deliveries d USING deleted WHERE d.id = deleted.id;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_token_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    k     kinds;
    one   record;
    due   timestamptz;
    woken job_type;
BEGIN
    SELECT count(*), min(id) AS id, min(action)::text AS action INTO one
    FROM inserted WHERE action IS NOT NULL;
    IF one.count = 0 THEN
        RETURN NULL;
    END IF;
    SELECT * INTO k FROM kinds WHERE kind = one.action;
    IF one.count = 1 AND k.cooldown IS NULL AND k.hourly IS NULL THEN
        woken := coalesce(k.queue, 'mailroom');
        INSERT INTO deliveries (id, queue, kind, priority)
        VALUES (one.id, woken, one.action, coalesce(k.priority, 50));
        PERFORM wake_mailroom(woken);
        RETURN NULL;
    END IF;
    INSERT INTO deliveries (id, queue, kind, priority)
    SELECT i.id, coalesce(n.queue, 'mailroom'), i.action::text, coalesce(n.priority, 50)
    FROM inserted i
    LEFT JOIN kinds n ON n.kind = i.action::text
    WHERE i.action IS NOT NULL AND n.cooldown IS NULL AND n.hourly IS NULL
    ORDER BY i.id;
    FOR one IN
        SELECT i.id, n AS kind, lower(a.email) AS address
        FROM inserted i
        JOIN kinds n ON n.kind = i.action::text
        LEFT JOIN accounts a ON a.id = i.account
        WHERE n.cooldown IS NOT NULL OR n.hourly IS NOT NULL
        ORDER BY limit_lock(lower(a.email)), i.id
    LOOP
        -- The account may come later in the same transaction.
        due := CASE WHEN one.address IS NULL THEN now() ELSE limit_mail(one.kind, one.address) END;
        INSERT INTO deliveries (id, queue, kind, priority, due_at, cause, limit_key)
        VALUES (
            one.id, (one.kind).queue, (one.kind).kind, (one.kind).priority, due,
            CASE WHEN due > now() THEN 'limited'::delivery_cause END, one.address
        );
    END LOOP;
    FOR woken IN
        SELECT DISTINCT coalesce(n.queue, 'mailroom')
        FROM unnest(enum_range(NULL::token_action)) action
        LEFT JOIN kinds n ON n.kind = action::text
    LOOP
        PERFORM wake_mailroom(woken);
    END LOOP;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_before_account_status_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    moment bigint := extract(epoch FROM now());
BEGIN
    IF NEW.status = OLD.status THEN
        RETURN NEW;
    END IF;
    NEW.status_changed_at := moment;
    IF OLD.status = 'suspended' THEN
        NEW.suspended_at := NULL;
        NEW.unsuspended_at := moment;
        IF OLD.activated_at IS NULL THEN
            NEW.status := 'provisioned';
        END IF;
    ELSIF NEW.status = 'active' THEN
        NEW.activated_at := moment;
    END IF;
    IF NEW.status = 'suspended' THEN
        NEW.suspended_at := moment;
        NEW.unsuspended_at := NULL;
    END IF;
    RETURN NEW;
END;
$$;
CREATE FUNCTION public.trg_before_list_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    NEW.list_id := coalesce(
        NEW.list_id,
        NEW.list || '.' || coalesce(substring(NEW.unsubscribe FROM '^https?://([^/:]+)'), '')
    );
    INSERT INTO kinds (kind, priority) VALUES (NEW.list, 1000) ON CONFLICT DO NOTHING;
    INSERT INTO kinds (kind, path, lifetime, priority, cooldown, hourly)
    VALUES (NEW.list || '.confirm', '/confirm', '7 days', 50, '5 min', 3)
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END;
$$;
CREATE FUNCTION public.unsubscribe(token text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $_$
DECLARE
    raw bytea;
    one subscribers;
BEGIN
    IF token IS NULL OR token !~ '^[A-Za-z0-9_-]{32}$' THEN
        RETURN NULL;
    END IF;
    raw := decode(translate(token, '-_', '+/'), 'base64');
    SELECT s.* INTO one
    FROM subscribers s
    WHERE s.id = ('x' || encode(substring(raw FOR 8), 'hex'))::bit(64)::bigint
        AND s.secret = encode(substring(raw FROM 9), 'hex')::uuid
    FOR UPDATE;
    -- What waits of an issue is stopped by the claim, which looks at this.
    UPDATE subscribers s
    SET state = 'unsubscribed', changed_at = now(), how = 'unsubscribe'
    WHERE s.id = one.id AND s.state IN ('pending', 'confirmed');
    RETURN one.list;
END;
$_$;
CREATE FUNCTION public.wake_mailroom(queue public.job_type) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    key CONSTANT integer := hashenum(queue);
BEGIN
    IF current_setting('mailroom.notified', true) = 'yes' THEN
        RETURN false;
    END IF;
    IF pg_try_advisory_xact_lock_shared(1835100526, key) THEN
        FOR i IN 1..5 LOOP
            IF (CASE WHEN pg_try_advisory_lock(1835100527, key)
                     THEN pg_advisory_unlock(1835100527, key) END)
            THEN
                RETURN false;
            END IF;
        END LOOP;
    END IF;
    PERFORM notify_mailroom();
    PERFORM set_config('mailroom.notified', 'yes', true);
    RETURN true;
END;
$$;
CREATE TABLE public.accounts (
    id bigint NOT NULL,
    email character varying(254) NOT NULL,
    status public.account_status DEFAULT 'provisioned'::public.account_status NOT NULL,
    login character varying(254) NOT NULL,
    created_at bigint DEFAULT (EXTRACT(epoch FROM now()))::bigint NOT NULL,
    status_changed_at bigint,
    activated_at bigint,
    suspended_at bigint,
    unsuspended_at bigint
);
CREATE SEQUENCE public.accounts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.accounts_id_seq OWNED BY public.accounts.id;
CREATE TABLE public.tokens (
    id bigint NOT NULL,
    action public.token_action,
    secret bytea DEFAULT sha256(((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid()))) NOT NULL,
    code character varying(5) DEFAULT lpad(((((('x'::text || "left"(encode(sha256(uuid_send(gen_random_uuid())), 'hex'::text), 15)))::bit(60))::bigint % (100000)::bigint))::text, 5, '0'::text),
    account bigint,
    expires_at bigint DEFAULT (EXTRACT(epoch FROM (now() + '00:15:00'::interval)))::bigint NOT NULL,
    consumed_at bigint,
    created_at bigint DEFAULT (EXTRACT(epoch FROM now()))::bigint NOT NULL,
    kind text,
    subject text,
    CONSTRAINT tokens_expires_at_check CHECK (((expires_at >= '-2147483648'::integer) AND (expires_at <= '253402300799'::bigint))),
    CONSTRAINT tokens_kind_check CHECK ((((action IS NULL) AND (account IS NULL) AND (kind IS NOT NULL)) OR ((action IS NOT NULL) AND (account IS NOT NULL) AND (kind IS NULL) AND (subject IS NULL))))
);
CREATE SEQUENCE public.tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tokens_id_seq OWNED BY public.tokens.id;
CREATE TABLE public.deliveries (
    id bigint DEFAULT nextval('public.tokens_id_seq'::regclass) NOT NULL,
    queue public.job_type DEFAULT 'mailroom'::public.job_type NOT NULL,
    kind text NOT NULL,
    priority smallint DEFAULT 50 NOT NULL,
    state public.delivery_state DEFAULT 'pending'::public.delivery_state NOT NULL,
    cause public.delivery_cause,
    attempts public.tries DEFAULT 0 NOT NULL,
    due_at public.moment DEFAULT now() NOT NULL,
    expires_at public.moment,
    created_at public.moment DEFAULT now() NOT NULL,
    lease text,
    provider_id text,
    error text,
    recipient text,
    locale text,
    reply_to text,
    data jsonb,
    key text,
    limit_key text,
    issue bigint,
    subscriber bigint
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='1000');
CREATE TABLE public.issues (
    id bigint NOT NULL,
    key text NOT NULL,
    list text NOT NULL,
    template text NOT NULL,
    data jsonb,
    filter jsonb,
    state public.issue_state DEFAULT 'publishing'::public.issue_state NOT NULL,
    not_before public.moment DEFAULT now() NOT NULL,
    published_at timestamp with time zone DEFAULT now() NOT NULL,
    cursor bigint DEFAULT 0 NOT NULL,
    upto bigint NOT NULL,
    total bigint NOT NULL,
    enqueued bigint DEFAULT 0 NOT NULL,
    CONSTRAINT issues_data_check CHECK (((jsonb_typeof(data) = 'object'::text) AND (octet_length((data)::text) <= 65536) AND (NOT (data ?| '{login,secret,code,unsubscribe}'::text[])))),
    CONSTRAINT issues_filter_check CHECK ((jsonb_typeof(filter) = 'object'::text)),
    CONSTRAINT issues_key_check CHECK (((length(key) >= 1) AND (length(key) <= 200))),
    CONSTRAINT issues_template_check CHECK ((template ~ '^[A-Za-z0-9_-]{1,64}$'::text))
)
WITH (fillfactor='50');
ALTER TABLE public.issues ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.issues_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.jobs (
    job_type public.job_type NOT NULL,
    last_seq bigint,
    paused_at timestamp with time zone,
    paused_reason text,
    CONSTRAINT jobs_paused_check CHECK (((paused_at IS NOT NULL) OR (paused_reason IS NULL)))
);
CREATE TABLE public.lists (
    list text NOT NULL,
    list_id text NOT NULL,
    unsubscribe text NOT NULL,
    CONSTRAINT lists_list_check CHECK ((list ~ '^[a-z0-9][a-z0-9_-]{0,54}$'::text)),
    CONSTRAINT lists_list_id_check CHECK (((list_id ~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)+$'::text) AND (length(list_id) <= 255))),
    CONSTRAINT lists_unsubscribe_check CHECK (((unsubscribe ~ '^https://[A-Za-z0-9.-]+(:[0-9]+)?/[!-;=?-~]*$'::text) AND (length(unsubscribe) <= 500)))
);
CREATE VIEW public.mails AS
 SELECT d.id,
    d.kind,
    COALESCE(d.recipient, ( SELECT (to_jsonb(a.*) ->> 'email'::text)
           FROM public.accounts a
          WHERE (a.id = t.account))) AS recipient,
    t.subject,
    d.locale,
    d.key,
    d.state,
    d.cause,
    d.attempts,
    d.created_at,
    d.due_at,
    d.expires_at,
        CASE
            WHEN (d.state > 'leased'::public.delivery_state) THEN (d.due_at)::timestamp with time zone
            ELSE NULL::timestamp with time zone
        END AS settled_at,
    d.provider_id
   FROM (public.deliveries d
     LEFT JOIN public.tokens t USING (id));
CREATE TABLE public.schema_migrations (
    version bigint NOT NULL,
    dirty boolean NOT NULL
);
CREATE TABLE public.subscribers (
    id bigint NOT NULL,
    list text NOT NULL,
    address text NOT NULL,
    state public.subscriber_state DEFAULT 'pending'::public.subscriber_state NOT NULL,
    subject text,
    data jsonb,
    locale text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    confirmed_at timestamp with time zone,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    how text NOT NULL,
    secret uuid DEFAULT gen_random_uuid() NOT NULL,
    CONSTRAINT subscribers_address_check CHECK (public.is_address(address)),
    CONSTRAINT subscribers_data_check CHECK (((jsonb_typeof(data) = 'object'::text) AND (octet_length((data)::text) <= 65536) AND (NOT (data ?| '{login,secret,code,unsubscribe}'::text[])))),
    CONSTRAINT subscribers_locale_check CHECK ((locale ~ '^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,3}$'::text)),
    CONSTRAINT subscribers_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 200)))
);
ALTER TABLE public.subscribers ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.subscribers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.tallies (
    queue public.job_type NOT NULL,
    minute timestamp with time zone NOT NULL,
    writer smallint NOT NULL,
    sent bigint NOT NULL,
    issue bigint DEFAULT 0 NOT NULL
);
ALTER TABLE ONLY public.accounts ALTER COLUMN id SET DEFAULT nextval('public.accounts_id_seq'::regclass);
ALTER TABLE ONLY public.tokens ALTER COLUMN id SET DEFAULT nextval('public.tokens_id_seq'::regclass);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_email_key UNIQUE (email);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_login_key UNIQUE (login);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.issues
    ADD CONSTRAINT issues_key_key UNIQUE (key);
ALTER TABLE ONLY public.issues
    ADD CONSTRAINT issues_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_type);
ALTER TABLE ONLY public.kinds
    ADD CONSTRAINT kinds_number_key UNIQUE (number);
ALTER TABLE ONLY public.kinds
    ADD CONSTRAINT kinds_pkey PRIMARY KEY (kind);
ALTER TABLE ONLY public.lists
    ADD CONSTRAINT lists_pkey PRIMARY KEY (list);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.subscribers
    ADD CONSTRAINT subscribers_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (queue, minute, writer, issue);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_secret_key UNIQUE (secret);
CREATE INDEX deliveries_claim_idx ON public.deliveries USING btree (queue, priority, due_at, id) WHERE (state = 'pending'::public.delivery_state);
CREATE INDEX deliveries_issue_idx ON public.deliveries USING btree (issue) WHERE ((issue IS NOT NULL) AND (state <= 'leased'::public.delivery_state));
CREATE UNIQUE INDEX deliveries_key_idx ON public.deliveries USING btree (queue, key) WHERE (key IS NOT NULL);
CREATE INDEX deliveries_limit_idx ON public.deliveries USING btree (limit_key, kind) WHERE (limit_key IS NOT NULL);
CREATE INDEX deliveries_state_idx ON public.deliveries USING btree (queue, state, due_at) WHERE (state > 'pending'::public.delivery_state);
CREATE INDEX issues_publishing_idx ON public.issues USING btree (not_before) WHERE (state = 'publishing'::public.issue_state);
CREATE UNIQUE INDEX subscribers_address_idx ON public.subscribers USING btree (list, lower(address));
CREATE INDEX subscribers_confirmed_idx ON public.subscribers USING btree (list, id) WHERE (state = 'confirmed'::public.subscriber_state);
CREATE INDEX tokens_account_fkey ON public.tokens USING btree (account);
CREATE INDEX tokens_subject_idx ON public.tokens USING btree (subject) WHERE (subject IS NOT NULL);
CREATE TRIGGER after_account_insert AFTER INSERT ON public.accounts REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_account_insert();
CREATE TRIGGER after_account_status_change AFTER UPDATE OF status ON public.accounts FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.trg_after_account_status_change();
CREATE TRIGGER after_delivery_deleted AFTER DELETE ON public.deliveries REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_delivery_deleted();
ALTER TABLE public.deliveries DISABLE TRIGGER after_delivery_deleted;
CREATE TRIGGER after_kind_fits AFTER UPDATE OF account_status ON public.kinds FOR EACH ROW WHEN ((old.account_status IS DISTINCT FROM new.account_status)) EXECUTE FUNCTION public.trg_after_kind_fits();
CREATE TRIGGER after_kind_inserted AFTER INSERT ON public.kinds FOR EACH ROW EXECUTE FUNCTION public.trg_after_kind_fits();
CREATE TRIGGER after_token_consumed AFTER UPDATE OF consumed_at ON public.tokens FOR EACH ROW WHEN (((old.consumed_at IS NULL) AND (new.consumed_at IS NOT NULL))) EXECUTE FUNCTION public.trg_after_token_consumed();
CREATE TRIGGER after_token_deleted AFTER DELETE ON public.tokens REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_token_deleted();
CREATE TRIGGER after_token_inserted AFTER INSERT ON public.tokens REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_token_inserted();
CREATE TRIGGER before_account_status_change BEFORE UPDATE OF status ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.trg_before_account_status_change();
CREATE TRIGGER before_list_inserted BEFORE INSERT ON public.lists FOR EACH ROW EXECUTE FUNCTION public.trg_before_list_inserted();
ALTER TABLE ONLY public.issues
    ADD CONSTRAINT issues_list_fkey FOREIGN KEY (list) REFERENCES public.lists(list);
ALTER TABLE ONLY public.subscribers
    ADD CONSTRAINT subscribers_list_fkey FOREIGN KEY (list) REFERENCES public.lists(list);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
REVOKE ALL ON FUNCTION public.confirm(token text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.enqueue_issue(of_queue text, most integer, share_of bigint, OUT made integer, OUT more boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.fits(data jsonb, filter jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.limit_lock(address text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.limit_mail(k public.kinds, address text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.publish(list text, template text, key text, data jsonb, not_before timestamp with time zone, filter jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.publish_test(list text, template text, address text, data jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.send_mail(kind text, recipient text, data jsonb, locale text, key text, not_before timestamp with time zone, expires_at timestamp with time zone, subject text, reply_to text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.send_mails(kind text, recipients text[], data jsonb[], locales text[], keys text[], not_before timestamp with time zone, expires_at timestamp with time zone, subjects text[], reply_to text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.subscribe(list text, address text, data jsonb, locale text, subject text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_account_insert() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_account_status_change() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_delivery_deleted() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_kind_fits() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_token_consumed() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_token_deleted() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_token_inserted() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_before_list_inserted() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.unsubscribe(token text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.wake_mailroom(queue public.job_type) FROM PUBLIC;
