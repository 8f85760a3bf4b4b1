-- What makes "one entry, one email" hold for workers that die and answers that are lost: a request to Resend is begun in
-- the row before it is sent, together with the very mail, so every try of an entry sends the same text under the same key.

-- The run of email/send that has the entry.
ALTER TABLE email_queue ADD COLUMN send_run text;
-- The mail as it goes to Resend. Only there while Resend may have been asked: before that the entry is rendered from rows
-- that may change, and afterwards Resend has it.
ALTER TABLE email_queue ADD COLUMN message jsonb;
-- Since when nobody knows whether Resend has the mail: set before a request, NULL again when its answer is known.
ALTER TABLE email_queue ADD COLUMN unanswered_since timestamptz;
-- The recipient's server took it.
ALTER TABLE email_queue ADD COLUMN delivered_at timestamptz;
