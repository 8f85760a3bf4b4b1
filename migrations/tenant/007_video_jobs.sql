-- What makes "one asset, one transcription" hold for workers that die and runs that meet: an ingest or a transcription
-- is begun in the row before the provider is asked, so whoever comes next knows that it may already have been asked.

-- Counts the ingests of this video: a new one (after an error, or when the row is set back to uploading) is a new asset.
ALTER TABLE videos ADD COLUMN ingest_number integer NOT NULL DEFAULT 0 CHECK (ingest_number >= 0);
ALTER TABLE videos ADD COLUMN ingest_started_at timestamptz;
-- The runs that take part in it. When it fails it has failed for these; only another run begins a new one.
ALTER TABLE videos ADD COLUMN ingest_runs text[] NOT NULL DEFAULT '{}';
-- Mux was asked for the asset; until mux_asset_id is known, nobody knows whether it has made one.
ALTER TABLE videos ADD COLUMN asset_requested_at timestamptz;

ALTER TABLE videos ADD COLUMN transcription_started_at timestamptz;
ALTER TABLE videos ADD COLUMN transcription_runs text[] NOT NULL DEFAULT '{}';
ALTER TABLE videos ADD COLUMN transcript_requested_at timestamptz;
-- Why transcription_status is failed. error_message is about the video itself.
ALTER TABLE videos ADD COLUMN transcription_error text;

-- md5 of the transcription_text that ai_title, ai_summary and ai_tasks were made from.
ALTER TABLE videos ADD COLUMN ai_transcript_md5 text;
