CREATE TYPE public.account_status AS ENUM (
    'provisioned',
    'active',
    'suspended'
);
CREATE TYPE public.delivery_state AS ENUM (
    'pending',
    'leased',
    'sent',
    'failed',
    'expired'
);
CREATE TYPE public.job_type AS ENUM (
    'mailroom'
);
CREATE TYPE public.token_action AS ENUM (
    'activation',
    'password_recovery'
);
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
    IF NOT EXISTS (
        SELECT FROM tokens
        WHERE account = NEW.id AND action = 'activation' AND consumed_at IS NULL
            AND expires_at > extract(epoch FROM now())
    ) THEN
        INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation');
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_account_status_fits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE deliveries d
    SET due_at = now()
    FROM tokens t
    JOIN actions a USING (action)
    WHERE t.account = NEW.id AND d.token = t.id AND d.state = 'pending'
        AND NEW.status = ANY (a.account_status);
    IF FOUND THEN
        PERFORM pg_notify(
            coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name,
            ''
        );
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_action_fits() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE deliveries d
    SET due_at = now()
    FROM tokens t
    WHERE t.id = d.token AND t.action = NEW.action AND d.state = 'pending';
    IF FOUND THEN
        PERFORM pg_notify(
            coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name,
            ''
        );
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_token_consumed() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NEW.action = 'activation' THEN
        UPDATE accounts SET status = 'active' WHERE id = NEW.account AND status = 'provisioned';
    END IF;
    RETURN NULL;
END;
$$;
CREATE FUNCTION public.trg_after_token_inserted() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO deliveries (token, queue, priority)
    SELECT i.id, coalesce(a.queue, 'mailroom'), coalesce(a.priority, 50)
    FROM inserted i
    LEFT JOIN actions a USING (action)
    ORDER BY i.id;
    IF FOUND THEN
        PERFORM pg_notify(
            coalesce(nullif(current_setting('mailroom.channel', true), ''), 'token_insert')::name,
            ''
        );
    END IF;
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
CREATE TABLE public.actions (
    action public.token_action NOT NULL,
    number smallint NOT NULL,
    path text NOT NULL,
    signs_code boolean DEFAULT false NOT NULL,
    account_status public.account_status[] NOT NULL,
    priority smallint DEFAULT 50 NOT NULL,
    queue public.job_type DEFAULT 'mailroom'::public.job_type NOT NULL,
    CONSTRAINT actions_account_status_check CHECK ((cardinality(account_status) > 0)),
    CONSTRAINT actions_number_check CHECK ((number > 0)),
    CONSTRAINT actions_path_check CHECK ((path <> ''::text))
);
CREATE TABLE public.deliveries (
    token bigint NOT NULL,
    queue public.job_type DEFAULT 'mailroom'::public.job_type NOT NULL,
    priority smallint DEFAULT 50 NOT NULL,
    state public.delivery_state DEFAULT 'pending'::public.delivery_state NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    lease text,
    provider_id text,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT deliveries_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT deliveries_leased_check CHECK (((state = 'leased'::public.delivery_state) = (lease IS NOT NULL))),
    CONSTRAINT deliveries_settled_check CHECK (((state = ANY (ARRAY['sent'::public.delivery_state, 'failed'::public.delivery_state, 'expired'::public.delivery_state])) = (settled_at IS NOT NULL)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_analyze_scale_factor='0', autovacuum_analyze_threshold='1000');
CREATE TABLE public.jobs (
    job_type public.job_type NOT NULL,
    last_seq bigint,
    paused_at timestamp with time zone,
    paused_reason text,
    CONSTRAINT jobs_paused_check CHECK (((paused_at IS NOT NULL) OR (paused_reason IS NULL)))
);
CREATE TABLE public.schema_migrations (
    version bigint NOT NULL,
    dirty boolean NOT NULL
);
CREATE TABLE public.tallies (
    queue public.job_type NOT NULL,
    minute timestamp with time zone NOT NULL,
    writer smallint NOT NULL,
    sent bigint NOT NULL
);
CREATE TABLE public.tokens (
    id bigint NOT NULL,
    action public.token_action NOT NULL,
    secret bytea DEFAULT sha256(((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid()))) NOT NULL,
    code character varying(5) DEFAULT lpad(((((('x'::text || "left"(encode(sha256(uuid_send(gen_random_uuid())), 'hex'::text), 15)))::bit(60))::bigint % (100000)::bigint))::text, 5, '0'::text),
    account bigint NOT NULL,
    expires_at bigint DEFAULT (EXTRACT(epoch FROM (now() + '00:15:00'::interval)))::bigint NOT NULL,
    consumed_at bigint,
    created_at bigint DEFAULT (EXTRACT(epoch FROM now()))::bigint NOT NULL,
    CONSTRAINT tokens_expires_at_check CHECK (((expires_at >= '-2147483648'::integer) AND (expires_at <= '253402300799'::bigint)))
);
CREATE SEQUENCE public.tokens_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.tokens_id_seq OWNED BY public.tokens.id;
ALTER TABLE ONLY public.accounts ALTER COLUMN id SET DEFAULT nextval('public.accounts_id_seq'::regclass);
ALTER TABLE ONLY public.tokens ALTER COLUMN id SET DEFAULT nextval('public.tokens_id_seq'::regclass);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_email_key UNIQUE (email);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_login_key UNIQUE (login);
ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.actions
    ADD CONSTRAINT actions_number_key UNIQUE (number);
ALTER TABLE ONLY public.actions
    ADD CONSTRAINT actions_pkey PRIMARY KEY (action);
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (token);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_type);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.tallies
    ADD CONSTRAINT tallies_pkey PRIMARY KEY (queue, minute, writer);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_secret_key UNIQUE (secret);
CREATE INDEX accounts_id_status_idx ON public.accounts USING btree (id, status);
CREATE INDEX deliveries_claim_idx ON public.deliveries USING btree (queue, priority, due_at, token) WHERE (state = 'pending'::public.delivery_state);
CREATE INDEX deliveries_ended_idx ON public.deliveries USING btree (queue, state, settled_at) WHERE (state = ANY (ARRAY['failed'::public.delivery_state, 'expired'::public.delivery_state]));
CREATE INDEX deliveries_failed_idx ON public.deliveries USING btree (queue, settled_at) WHERE ((state = 'failed'::public.delivery_state) AND (COALESCE(error, ''::text) !~~ 'dropped by %'::text));
CREATE INDEX deliveries_settled_idx ON public.deliveries USING btree (queue, settled_at) WHERE (state = ANY (ARRAY['sent'::public.delivery_state, 'failed'::public.delivery_state, 'expired'::public.delivery_state]));
CREATE INDEX deliveries_wake_idx ON public.deliveries USING btree (queue, state, due_at) WHERE (state = ANY (ARRAY['pending'::public.delivery_state, 'leased'::public.delivery_state]));
CREATE INDEX jobs_last_seq_type_idx ON public.jobs USING btree (last_seq, job_type);
CREATE INDEX tokens_account_fkey ON public.tokens USING btree (account);
CREATE INDEX tokens_id_expires_consumed_action_idx ON public.tokens USING btree (id, expires_at, consumed_at, action);
CREATE TRIGGER after_account_insert AFTER INSERT ON public.accounts REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_account_insert();
CREATE TRIGGER after_account_status_change AFTER UPDATE OF status ON public.accounts FOR EACH ROW WHEN (((old.status = 'suspended'::public.account_status) AND (new.status = 'provisioned'::public.account_status))) EXECUTE FUNCTION public.trg_after_account_status_change();
CREATE TRIGGER after_account_status_fits AFTER UPDATE OF status ON public.accounts FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.trg_after_account_status_fits();
CREATE TRIGGER after_action_fits AFTER UPDATE OF account_status ON public.actions FOR EACH ROW WHEN ((old.account_status IS DISTINCT FROM new.account_status)) EXECUTE FUNCTION public.trg_after_action_fits();
CREATE TRIGGER after_action_inserted AFTER INSERT ON public.actions FOR EACH ROW EXECUTE FUNCTION public.trg_after_action_fits();
CREATE TRIGGER after_token_consumed AFTER UPDATE OF consumed_at ON public.tokens FOR EACH ROW WHEN (((old.consumed_at IS NULL) AND (new.consumed_at IS NOT NULL))) EXECUTE FUNCTION public.trg_after_token_consumed();
CREATE TRIGGER after_token_inserted AFTER INSERT ON public.tokens REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION public.trg_after_token_inserted();
CREATE TRIGGER before_account_status_change BEFORE UPDATE OF status ON public.accounts FOR EACH ROW EXECUTE FUNCTION public.trg_before_account_status_change();
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_token_fkey FOREIGN KEY (token) REFERENCES public.tokens(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_account_fkey FOREIGN KEY (account) REFERENCES public.accounts(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
REVOKE ALL ON FUNCTION public.trg_after_account_insert() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_account_status_change() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_account_status_fits() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_action_fits() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.trg_after_token_inserted() FROM PUBLIC;
