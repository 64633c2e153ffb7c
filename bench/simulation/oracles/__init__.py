"""What is known without simulating: what the simulator and the policies are held against."""
