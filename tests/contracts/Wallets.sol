// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// A contract wallet of one owner, who may hand it over (ERC-1271).
contract OwnedWallet {
    address public owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function handOver(address owner_) external {
        require(msg.sender == owner, "not the owner");
        owner = owner_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        require(signature.length == 65, "not 65 bytes");
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        bool signed = ecrecover(digest, uint8(signature[64]), r, s) == owner;
        return signed ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// A contract wallet that has no owner before `wake` is called: ERC-6492's "deployed but not ready".
contract SleepingWallet {
    address public owner;

    function wake(address owner_) external {
        require(owner == address(0), "awake");
        owner = owner_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        bytes32 r = bytes32(signature[0:32]);
        bytes32 s = bytes32(signature[32:64]);
        require(owner != address(0) && ecrecover(digest, uint8(signature[64]), r, s) == owner, "refused");
        return bytes4(0x1626ba7e);
    }
}

/// Makes wallets at addresses that are known before (CREATE2, EIP-1014).
contract WalletFactory {
    function make(address owner, bytes32 salt) external returns (address) {
        return address(new OwnedWallet{salt: salt}(owner));
    }
}

/// Answers everything with yes, but for the rest of the word.
contract SloppyWallet {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes32) {
        return bytes32(uint256(uint32(0x1626ba7e)) << 224 | 1);
    }
}
