-- How a saved service is run, as JSON; none where the repository runs it in its own way.
ALTER TABLE services ADD COLUMN run TEXT;
