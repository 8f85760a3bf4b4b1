-- For deleting bulk actions that nobody will ask for again: previews by when they were made, others by when they ended.
CREATE INDEX platform_bulk_actions_previewed ON public.platform_bulk_actions (created_at) WHERE state = 'previewed';
CREATE INDEX platform_bulk_actions_finished ON public.platform_bulk_actions (finished_at) WHERE finished_at IS NOT NULL;
