"""The figures that Zanith promises, measured: `python -m bench` prints ours, the baseline, their ratio, the bar."""
