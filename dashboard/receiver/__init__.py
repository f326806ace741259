"""The receiver: takes OpenTrain's deliveries, forwards them to handlers, and keeps every attempt."""
