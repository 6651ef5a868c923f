-- recorded: the digests of reports that the log has of a job, newest first; $2 is the job's artifact, NULL where it is of several
SELECT l.id, l.detail ->> 'report' AS report, true AS whole
FROM zanith._zanith_audit_log AS l
WHERE l.artifact_id IS NOT DISTINCT FROM $2 AND l.outcome = 'done' AND l.detail ->> 'job' = $1 AND l.detail ? 'report'
ORDER BY l.id DESC LIMIT 1;

-- recorded_part: the same of one object of a migration
SELECT l.id, l.detail ->> 'report' AS report
FROM zanith._zanith_audit_log AS l
WHERE l.artifact_id = $2 AND l.outcome = 'done' AND l.detail ->> 'job' = $1 AND l.detail ? 'report'
ORDER BY l.id DESC LIMIT 1;

-- analyzed: when the studio or the API last analyzed the table of each of these artifacts, since a time
SELECT l.artifact_id, max(l.at) AS at
FROM zanith._zanith_audit_log AS l
WHERE l.artifact_id = ANY ($1::text[]) AND l.action = 'analyze' AND l.outcome = 'done' AND l.at >= $2
GROUP BY l.artifact_id;
