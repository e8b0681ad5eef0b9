// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Pays coins on to others, within the transaction that brings them.
contract Payer {
    constructor() payable {}

    function pay(address payable to) external payable {
        (bool paid, ) = to.call{value: msg.value}("");
        require(paid, "not paid");
    }

    /// Half of it in each of two calls.
    function payTwice(address payable to) external payable {
        (bool one, ) = to.call{value: msg.value / 2}("");
        (bool two, ) = to.call{value: msg.value - msg.value / 2}("");
        require(one && two, "not paid");
    }

    /// Pays, and takes it back by failing.
    function payAndFail(address payable to) external payable {
        this.pay{value: msg.value}(to);
        revert("thought better of it");
    }

    /// Calls a payment that fails as a whole, and goes on.
    function tryToPay(address payable to) external payable {
        try this.payAndFail{value: msg.value}(to) {} catch {}
    }

    /// Ends, and leaves what it has to somebody.
    function end(address payable to) external payable {
        selfdestruct(to);
    }
}
