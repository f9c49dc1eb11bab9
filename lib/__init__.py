"""The library, in rooms: storage, rewards, theory, data, models, training, evaluation, reports, and on top the commands
(profiles, reproduce, doctor, notebooks). A room may import those before it in this list, never one after it."""
