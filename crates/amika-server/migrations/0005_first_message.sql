-- What a new sandbox's agent is told once setup succeeded; none once that was begun, or cannot be any more.
ALTER TABLE sandboxes ADD COLUMN initial_prompt TEXT;
