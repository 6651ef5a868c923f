"""What is known of artifacts and of the database: inspect, doctor, coverage."""
