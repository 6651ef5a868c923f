-- The live job that changes an artifact; all NULL where there is none. One whose lease ran out is not live; one without a lease waits for a worker.
CREATE OR REPLACE FUNCTION zanith._live_change(of_artifact text) RETURNS zanith._zanith_jobs
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT j FROM zanith._zanith_jobs j
    WHERE j.artifact_id = of_artifact AND j.state IN ('queued', 'running') AND j.changes_artifact
      AND (j.lease_expires_at IS NULL OR j.lease_expires_at > clock_timestamp())
); END $$;
