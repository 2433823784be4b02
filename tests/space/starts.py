"""Starts the Space and asks it once, with the Python that runs this: one where its requirements alone are installed.

PYTHONPATH=modeling:scripts .venv-space/bin/python tests/space/starts.py
"""

from benchmarks.serving import connected, served

if __name__ == "__main__":
    with served("space/app.py") as (process, address):
        client = connected(process, address)
        assert len(client.predict("Alice was", seed=7, api_name="/generate")) == 500
        assert client.predict("alice", api_name="/inspect")["chars"] == list("alice")
    print("the Space starts from its requirements alone")
