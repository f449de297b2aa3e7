// What transformers calls a family's values and tensors. Plain data: checkpoint/huggingface reads
// and writes by it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "model/definition/model_spec.h"

namespace rondo {

/// A size that transformers makes of others.
using DerivedSize = int64_t (*)(const ModelSpec&);
/// What a key stands for that is absent or null; monostate: it is refused.
using ForeignDefault = std::variant<std::monostate, int64_t, double, bool, DerivedSize>;
using SpecMember = std::variant<int64_t ModelSpec::*, double ModelSpec::*, bool ModelSpec::*>;

/// A key of config.json that is a member of ModelSpec. Reading and writing go by this one entry.
struct ForeignKey {
  SpecMember member;
  /// Where it may stand; "a.b" is b of the object a. The first that exists counts, the others must
  /// agree with it. It is written to the last. Empty: only `absent` counts.
  std::vector<std::string> places;
  ForeignDefault absent;     ///< the default of the config class
  ForeignDefault null = {};  ///< what the class makes of null
  /// Places that transformers passes over. A value there must agree too.
  std::vector<std::string> unread = {};
};

/// A key whose value the family fixes: another would be another function.
struct FixedKey {
  std::string place;
  std::vector<std::variant<bool, double, std::string>> values;  ///< of equal meaning
  bool written = false;                                         ///< exports have the first value
};

/// How config.json tells which layers see a window only.
struct WindowKeys {
  bool slides = false;    ///< by sliding_window, whose default is `window`; null: no window
  bool listed = false;    ///< layer_types names the kind of each layer; absent: all slide
  bool switched = false;  ///< use_sliding_window must be true, and layer_types that is absent
                          ///< means layers from max_window_layers, by default `first`, on
  int64_t window = 4096;
  int64_t first = 28;
};

/// One model_type.
struct ForeignModel {
  std::string model_type;
  std::string architecture;
  std::vector<ForeignKey> keys;  ///< in the order in which derived sizes need them
  std::vector<FixedKey> fixed;
  WindowKeys windows = {};
};

/// One of our tensors inside one of theirs.
struct ForeignTensor {
  std::string name;         ///< in the safetensors
  bool transposed = false;  ///< theirs is [in, out]
  int part = 0;             ///< which of …
  int parts = 1;            ///< … the tensors of equal shape that theirs stacks along `out`
  bool by_head = false;  ///< the parts alternate from head to head instead of following each other
};

/// Their names of our modules: below `layers`.<layer> for what belongs to a layer.
struct TensorNames {
  std::string layers;
  std::map<std::string, ForeignTensor, std::less<>> in_layer;
  std::map<std::string, std::string, std::less<>> around;
  std::string other_head = {};  ///< another name of the head, which some versions write
};

}  // namespace rondo
