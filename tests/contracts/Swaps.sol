// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

interface Movable {
    function transfer(address to, uint256 value) external returns (bool);

    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// Stands in the place of an aggregator's contract: takes what is sold from whoever calls, and pays what is bought, whatever the call says.
contract Router {
    Movable public sold;
    uint256 public taken;
    Movable public bought;
    uint256 public paid;

    function set(Movable sold_, uint256 taken_, Movable bought_, uint256 paid_) external {
        (sold, taken, bought, paid) = (sold_, taken_, bought_, paid_);
    }

    fallback() external payable {
        if (address(sold) != address(0)) sold.transferFrom(msg.sender, address(this), taken);
        if (address(bought) != address(0)) bought.transfer(msg.sender, paid);
    }
}
