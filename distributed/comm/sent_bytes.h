// Bytes on the wire, by what they are for.
#pragma once

#include <cstdint>

namespace rondo {

struct SentBytes {
  int64_t activation = 0;  ///< activations and their gradients
  int64_t reduce = 0;      ///< sums of gradients
  int64_t gather = 0;      ///< the return of updated weights

  SentBytes& operator+=(const SentBytes& other) {
    activation += other.activation;
    reduce += other.reduce;
    gather += other.gather;
    return *this;
  }
  SentBytes operator-(const SentBytes& other) const {
    return {activation - other.activation, reduce - other.reduce, gather - other.gather};
  }
  bool operator==(const SentBytes&) const = default;
};

}  // namespace rondo
