-- Videos with their transcript and AI texts, and the queue of emails to send.

CREATE TABLE videos (
  id                   text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  title                text NOT NULL,
  status               text NOT NULL DEFAULT 'uploading' CHECK (status IN
                         ('uploading', 'processing', 'ready', 'error', 'deleted')),
  source_url           text,
  duration_seconds     double precision CHECK (duration_seconds >= 0),
  mux_asset_id         text UNIQUE,
  mux_playback_id      text,
  error_message        text,
  -- NULL: never asked for.
  transcription_status text CHECK (transcription_status IN ('pending', 'processing', 'completed', 'failed')),
  transcription_job_id text UNIQUE,
  transcription_text   text,
  transcription_words  jsonb,
  ai_title             text,
  ai_summary           text,
  ai_tasks             jsonb,
  ai_usage             jsonb,
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX videos_status_idx ON videos (status, created_at);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON videos
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE email_queue (
  id                text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  -- What the email is about (review, creator, digest, treasury, ...): a new kind needs no migration.
  kind              text NOT NULL CHECK (kind ~ '^[a-z][a-z_]*$'),
  recipient         text NOT NULL,
  subject           text NOT NULL,
  template          text NOT NULL,
  -- Ids for the template to look up, not copies of what they name.
  data              jsonb NOT NULL DEFAULT '{}',
  -- What makes this email this one (review:<order>:<n>): the same email is never queued twice.
  dedupe_key        text NOT NULL UNIQUE,
  sequence_number   integer NOT NULL DEFAULT 1 CHECK (sequence_number >= 1),
  status            text NOT NULL DEFAULT 'pending' CHECK (status IN
                      ('pending', 'processing', 'sent', 'failed', 'skipped')),
  scheduled_at      timestamptz NOT NULL DEFAULT now(),
  claimed_by_run    text,
  attempts          integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  sent_at           timestamptz,
  resend_message_id text,
  error_message     text,
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL DEFAULT now()
);

-- email/process-queue: what is due, oldest first; and the claims nobody has touched for too long.
CREATE INDEX email_queue_due_idx ON email_queue (scheduled_at) WHERE status = 'pending';
CREATE INDEX email_queue_claimed_idx ON email_queue (updated_at) WHERE status = 'processing';
CREATE INDEX email_queue_resend_message_id_idx ON email_queue (resend_message_id);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON email_queue
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
