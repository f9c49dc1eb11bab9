"""Data: problems to train and evaluate on, from the hub, from files, or generated, and the check that training problems are no
test problems. A problem is a prompt and a gold answer; grading is `rewards`. No torch. It may import `storage` and `rewards`."""
