// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// The part of Multicall3 that is used here, with its selectors and answers.
contract Multicall {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    function aggregate3(Call3[] calldata calls) external payable returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; i++) {
            (results[i].success, results[i].returnData) = calls[i].target.call(calls[i].callData);
            require(results[i].success || calls[i].allowFailure, "Multicall3: call failed");
        }
    }

    function getEthBalance(address owner) external view returns (uint256) {
        return owner.balance;
    }
}

/// Something that is no token, and says so to whoever asks.
contract Stubborn {
    fallback() external {
        revert("I tell nothing");
    }
}

/// A token of the early days, whose texts are bytes32.
contract EarlyToken {
    bytes32 public constant name = "Maker";
    bytes32 public constant symbol = "MKR";
    uint256 public constant decimals = 18;
}
