"""Who is asking: the account of the token that is set."""

from zoo.hub.failures import Backoff, attempted


def account(patience: float = 3.0) -> str | None:
    """Return whose token is used on the Hub, as the Hub says; None where there is no token.

    Args:
        patience: seconds.

    Raises:
        ZooError: the Hub cannot be reached, or does not know the token.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    known = get_token() is not None
    address = f"{constants.ENDPOINT}/api/{'whoami-v2' if known else 'models?limit=1'}"

    def ask() -> str | None:
        answer = get_session().get(address, headers=build_hf_headers(), timeout=patience)
        if not known:  # to anybody, any answer will do
            return None
        hf_raise_for_status(answer)
        return answer.json()["name"]

    return attempted(ask, "Your account", Backoff(attempts=1))
