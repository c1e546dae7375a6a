"""Railway: the bot, and a volume for its data. What a redeploy does there: docs/deploy.md.

    pip install railway-sdk        # in an environment of its own; the program does not need it
    railway config plan            # shows what would change
    railway config apply

The token is set once in Railway (`railway variables --set DISCORD_TOKEN=…`) and kept by ``preserve``. A variable that
is missing here is deleted by ``apply``: whoever adds LEDGER_CLOUD with its credentials names them here, too.
"""

from railway_sdk import Project, define_railway, preserve, project, service, volume


@define_railway
def main() -> Project:
    """The project as it should be; ``railway up`` then uploads this folder, and its Dockerfile is built."""
    data = volume("inviteledger-data", sizeMB=1024)
    bot = service(
        "inviteledger",
        build={"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"},
        start="inviteledger run",
        healthcheck="/readyz",
        healthcheckTimeout=300,
        replicas=1,
        deploy={
            "drainingSeconds": 50,  # Railway's own is 0: SIGKILL at once
            "overlapSeconds": 0,  # who is ready as standby waits for nothing but the other's goodbye
            "restartPolicyType": "ALWAYS",
        },
        volumeMounts={"/data": data},
        env={
            "DISCORD_TOKEN": preserve(),
            "RAILWAY_RUN_UID": "0",  # a volume there belongs to root
        },
    )
    return project("inviteledger", resources=[bot, data])
