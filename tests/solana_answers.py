"""Parts of a Solana node's answers, as Agave writes them."""

import base64
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import TokenAccount

_TEXTS = {
    "BlockhashNotFound": "Blockhash not found",
    "AlreadyProcessed": "This transaction has already been processed",
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "InsufficientFundsForFee": "Insufficient funds for fee",
}


class RpcError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.answer = {"code": code, "message": message} | ({} if data is None else {"data": data})


def key_of(address: str) -> Pubkey:
    try:
        return Pubkey.from_string(address)
    except ValueError:
        raise RpcError(-32602, "Invalid param: WrongSize") from None


def lamports_of(account: Account | None) -> int:
    return 0 if account is None else account.lamports


def account_json(account: Account | None) -> Any:
    if account is None:
        return None
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "executable": account.executable,
        "data": [base64.b64encode(bytes(account.data)).decode(), "base64"],
        "rentEpoch": 2**64 - 1,
        "space": len(account.data),
    }


def token_of(account: Account) -> TokenAccount | None:
    """A token account, whose state comes first and whose extensions, if any, follow; mints are shorter, or say so after 165 bytes."""
    data = bytes(account.data)
    if len(data) < 165 or (len(data) > 165 and data[165] != 2):
        return None
    return TokenAccount.from_bytes(data[:165])


def words_of(error: Any) -> str:
    if isinstance(error, str):
        return _TEXTS.get(error, error)
    if isinstance(error, dict) and "InstructionError" in error:
        index, detail = error["InstructionError"]
        reason = f"custom program error: {detail['Custom']:#x}" if isinstance(detail, dict) else detail
        return f"Error processing Instruction {index}: {reason}"
    return str(error)
