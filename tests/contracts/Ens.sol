// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// The part of ENS' registry that readers use (ERC-137).
contract EnsRegistry {
    mapping(bytes32 => address) public resolver;

    function setResolver(bytes32 node, address resolver_) external {
        resolver[node] = resolver_;
    }
}

/// Addresses and names, as the public resolver keeps them.
contract EnsResolver {
    mapping(bytes32 => address) public addr;
    mapping(bytes32 => string) public name;

    function setAddr(bytes32 node, address addr_) external {
        addr[node] = addr_;
    }

    function setName(bytes32 node, string calldata name_) external {
        name[node] = name_;
    }

    function supportsInterface(bytes4) external pure returns (bool) {
        return false;
    }
}

/// A resolver of all names below one (ENSIP-10): it gives the address that it was made with.
contract EnsWildcard {
    address private immutable _answer;

    constructor(address answer) {
        _answer = answer;
    }

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x9061b923;
    }

    function resolve(bytes calldata, bytes calldata) external view returns (bytes memory) {
        return abi.encode(_answer);
    }
}

/// A resolver that sends its readers to a gateway (ERC-3668).
contract EnsOffChain {
    error OffchainLookup(address sender, string[] urls, bytes callData, bytes4 callbackFunction, bytes extraData);

    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x9061b923;
    }

    function resolve(bytes calldata, bytes calldata) external view returns (bytes memory) {
        string[] memory urls = new string[](1);
        urls[0] = "http://127.0.0.1:1/{sender}/{data}";
        revert OffchainLookup(address(this), urls, "", 0x00000000, "");
    }
}
