-- compare: what compares the values of an artifact with what has its name now
SELECT zanith.compare_values($1, $2, $3, $4, $5);
