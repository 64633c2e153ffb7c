"""The benchmarks behind `segue bench`: two things compared in one run, quoted as ratios and medians."""
