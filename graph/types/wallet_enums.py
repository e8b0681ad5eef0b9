"""Enums about wallets and chains, with a description on every value."""

from core import wallet_vocabulary
from graph.types.enums import describe

describe(
    wallet_vocabulary.ChainTxStatus,
    "What has become of a transaction on its chain.",
    {
        "PENDING": "Sent, and in no block yet.",
        "CONFIRMED": "In a block, which could still be replaced by another.",
        "FINAL": "In a block that is as good as certain to stay.",
        "FAILED": "In a block, but it did nothing: the chain took its fee and refused the rest.",
        "REPLACED": "Another transaction took its place: same sender and nonce, or the same inputs.",
        "DROPPED": "No node knows it any more; it may be sent again.",
        "REVERTED": "It was in a block that the chain has given up.",
    },
)
describe(
    wallet_vocabulary.TransferDirection,
    "Where something went, seen from the wallet.",
    {"IN": "To the wallet.", "OUT": "From the wallet.", "SELF": "From the wallet to itself."},
)
describe(
    wallet_vocabulary.FeeSpeed,
    "How much of a hurry a fee buys.",
    {
        "SLOW": "Cheap; may take several blocks.",
        "STANDARD": "The next few blocks.",
        "FAST": "The next block, most likely.",
    },
)
describe(
    wallet_vocabulary.EffectKind,
    "What a transaction does.",
    {
        "TRANSFER": "It moves coins or tokens.",
        "APPROVE": "It lets somebody move tokens later.",
        "CONTRACT_CALL": "It calls a contract, whose doings are its own.",
    },
)
describe(
    wallet_vocabulary.TransactionWarningCode,
    "What a person should look at before they sign.",
    {
        "FIRST_TIME_ADDRESS": "Nothing was sent to this address before.",
        "LOOKALIKE_ADDRESS": "The address begins and ends like one that is known here, and is another.",
        "NO_CODE_AT_ADDRESS": "There is no contract at this address.",
        "UNLIMITED_APPROVAL": "The spender could take any amount, at any time.",
        "SIMULATION_REVERTS": "It would fail if it were in the next block.",
        "HIGH_FEE": "The fee is high beside the amount.",
        "SPAM_TOKEN": "The token is known, or looks, like spam.",
        "OWN_DEPOSIT_ADDRESS": "The address is one of your own deposit addresses here.",
    },
)
describe(
    wallet_vocabulary.SwapProvider,
    "Who finds a route for a swap.",
    {"LIFI": "LI.FI, also across chains.", "ZEROX": "0x, on one chain."},
)
describe(
    wallet_vocabulary.SwapStatus,
    "How far a swap is.",
    {
        "PREPARED": "Its transaction was prepared and not sent yet.",
        "SENT": "Its first transaction is on its way.",
        "BRIDGING": "The first chain is done, the second not yet.",
        "DONE": "What was bought has arrived.",
        "FAILED": "It failed; nothing was bought.",
        "REFUNDED": "It failed on the way, and what was paid came back.",
    },
)
describe(
    wallet_vocabulary.DepositStatus,
    "How far a deposit is.",
    {
        "SEEN": "In a block, or waiting for one.",
        "CONFIRMING": "Blocks are piling up on it.",
        "CREDITED": "It is in the balance.",
        "ORPHANED": "Its block was given up by the chain before it was credited; it may come back in another.",
        "REVERSED": "Its block was given up after it was credited, and the credit was taken back.",
        "BELOW_MINIMUM": "Too small to be credited; kept on record.",
    },
)
describe(
    wallet_vocabulary.WithdrawalStatus,
    "How far a withdrawal is.",
    {
        "AWAITING_CONFIRMATION": "Its owner has yet to follow the link in the mail.",
        "HELD": "It waits, for the reason that is given.",
        "IN_REVIEW": "An operator looks at it.",
        "APPROVED": "It is to be signed.",
        "SIGNING": "Being signed; it cannot be canceled any more.",
        "BROADCAST": "Sent to the chain.",
        "CONFIRMED": "On the chain, with as many confirmations as are required.",
        "CANCELED": "Taken back by its owner.",
        "REJECTED": "Refused by an operator.",
        "FAILED": "The chain did not take it; the funds are available again.",
    },
)
describe(
    wallet_vocabulary.WalletErrorCode,
    "Why something about a wallet or on a chain was refused.",
    {
        "INVALID_INPUT": "An input cannot be used; `field` names it.",
        "ACCOUNT_FROZEN": "The account is frozen.",
        "EMAIL_NOT_VERIFIED": "The e-mail address is not proven yet.",
        "STEP_UP_REQUIRED": "Prove first that you are there; see `stepUp`.",
        "STEP_UP_INVALID": "The proof is wrong, over, or of something else.",
        "IDEMPOTENCY_MISMATCH": "The key was used before with other content.",
        "UNKNOWN_CHAIN": "There is no such chain here.",
        "UNKNOWN_ASSET": "There is no such asset or token on this chain.",
        "ADDRESS_INVALID": "It is no address, or its checksum is wrong.",
        "ADDRESS_WRONG_NETWORK": "The address is of another chain or network.",
        "ADDRESS_IN_USE": "The address belongs to another account.",
        "ADDRESS_NOT_ACTIVE": "The address is not in your book, or was added too recently.",
        "CHALLENGE_EXPIRED": "The challenge is over or was never given.",
        "CHALLENGE_USED": "The challenge was used already.",
        "MESSAGE_MISMATCH": "What was signed is not the message that was given.",
        "SIGNATURE_INVALID": "The signature is not of this address.",
        "CONTRACT_WALLET_REFUSED": "The wallet's contract does not accept the signature.",
        "AMOUNT_INVALID": "The amount is not above 0, or has more digits than the token.",
        "AMOUNT_TOO_SMALL": "The amount is below the smallest.",
        "LIMIT_EXCEEDED": "It would cross a limit.",
        "INSUFFICIENT_FUNDS": "There is not enough of it.",
        "INSUFFICIENT_GAS": "There is not enough of the chain's own coin to pay the fee.",
        "DEBT_OUTSTANDING": "Something is owed here after a deposit was reversed; nothing is paid out before.",
        "HELD_AFTER_CHANGE": "Nothing is paid out for a while after a change of password, address, factors, linked identities or "
        "wallets.",
        "ABI_INVALID": "The ABI, the function or an argument does not fit.",
        "SIMULATION_REVERTED": "The chain refuses the call.",
        "TRANSACTION_MISMATCH": "The signed transaction is not what was prepared.",
        "TRANSACTION_EXPIRED": "What was prepared is over; prepare it again.",
        "NONCE_TOO_LOW": "The sender has used this nonce already.",
        "ALREADY_KNOWN": "The chain knows this transaction already.",
        "UNDERPRICED": "The fee is too low to be taken, or to replace another.",
        "TRANSACTION_REFUSED": "The chain's nodes do not take the transaction, for the reason in the message.",
        "PROVIDER_UNAVAILABLE": "No node of the chain answers; try again.",
        "PROVIDER_LYING": "Nodes contradict each other; nothing is done until they agree.",
        "NO_ROUTE": "Nobody offers this swap.",
        "QUOTE_EXPIRED": "The quote is over; ask for a new one.",
        "NOT_CANCELABLE": "It is too late to cancel.",
        "NOT_ENABLED": "This server does not do it for this asset and chain.",
        "EXCHANGE_UNAVAILABLE": "The exchange cannot be reached, or did not answer in time; try again with the same key.",
        "UNKNOWN_WITHDRAWAL": "There is no such withdrawal.",
        "UNKNOWN_WALLET": "There is no such wallet.",
        "UNKNOWN_DEPOSIT": "There is no such deposit, or it is somebody's already.",
        "LAST_FACTOR": "Without it nobody could sign in to the account any more.",
    },
)
