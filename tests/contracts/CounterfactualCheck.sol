// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Says in one eth_call, as code that is run and never deployed, whether a wallet accepts a signature in ERC-6492's wrapper.
/// Its "deployed code" is the answer: one byte, 1 or 0. services/wallet_proofs/counterfactual_check.py has this compiled.
contract CounterfactualCheck {
    constructor(address wallet, bytes32 digest, address factory, bytes memory factoryCall, bytes memory signature) {
        // A wallet that is deployed judges as it is now; if that is no, it may need the call first ("deployed but not ready").
        bool accepted = wallet.code.length > 0 && accepts(wallet, digest, signature);
        if (!accepted) {
            (bool done, ) = factory.call(factoryCall);
            accepted = done && wallet.code.length > 0 && accepts(wallet, digest, signature);
        }
        assembly {
            mstore(0, accepted)
            return(31, 1)
        }
    }

    /// ERC-1271, asked with STATICCALL. The whole word is compared: the identity precompile gives back what it is asked.
    function accepts(address wallet, bytes32 digest, bytes memory signature) private view returns (bool) {
        (bool done, bytes memory answer) = wallet.staticcall(
            abi.encodeWithSelector(0x1626ba7e, digest, signature)
        );
        return done && answer.length == 32 && bytes32(answer) == bytes32(bytes4(0x1626ba7e));
    }
}
