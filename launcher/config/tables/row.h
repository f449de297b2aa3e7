// Rows of the schema: one key each, bound to a member of a struct of Config.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/user_error.h"
#include "base/user_path.h"
#include "launcher/config/codec.h"
#include "launcher/config/schema.h"
#include "launcher/config/tables/allowed.h"

namespace rondo {

/// How the values of one key come into an `Owner` and out of it.
template <typename Owner>
struct Binding {
  std::string type;
  std::function<Complaint(const ConfigValue&, Owner&)> read;
  std::function<ConfigValue(const Owner&)> write;
  std::vector<std::string> names = {};  ///< the values of the type, where all have one

  template <typename Member>
  Binding(Member Owner::*member)  // NOLINT(google-explicit-constructor): a row names the member
      : type(type_name(std::type_identity<Member>())),
        read([=](const ConfigValue& value, Owner& owner) {
          return read_value(value, owner.*member);
        }),
        write([=](const Owner& owner) { return write_value(owner.*member); }) {
    if constexpr (std::is_same_v<Member, bool>) names = {"true", "false"};
  }

  Binding(std::string type_text, std::function<Complaint(const ConfigValue&, Owner&)> reader,
          std::function<ConfigValue(const Owner&)> writer)
      : type(std::move(type_text)), read(std::move(reader)), write(std::move(writer)) {}
};

/// A count that "auto" leaves open, which 0 stands for.
template <typename Owner>
Binding<Owner> open(int64_t Owner::*member) {
  Binding<Owner> binding(member);
  binding.type += " or \"auto\"";
  binding.read = [=, number = binding.read](const ConfigValue& value, Owner& owner) {
    if (plain_text(value) != "auto") return number(value, owner);
    owner.*member = 0;
    return Complaint();
  };
  binding.write = [=](const Owner& owner) {
    return owner.*member == 0 ? write_value(std::string("auto")) : write_value(owner.*member);
  };
  return binding;
}

/// Text that may name a file or folder: `~/` is the user's home.
template <typename Owner>
Binding<Owner> path(std::string Owner::*member) {
  Binding<Owner> binding(member);
  binding.type = "a path";
  binding.read = [=, text = binding.read](const ConfigValue& value, Owner& owner) {
    Complaint complaint = text(value, owner);
    if (!complaint) complaint = expand_path(owner.*member);
    return complaint;
  };
  return binding;
}

template <typename Owner>
struct Row {
  std::string leaf;
  Binding<Owner> binding;
  Allowed allowed;
  std::string unit;
  std::string about;
};

/// Throws UserError that names place, key and value.
[[noreturn]] void refuse_value(const ConfigField& field, const ConfigEntry& entry,
                               const std::string& complaint);

/// The fields of a TOML table, or of a part of it, whose members lie in the struct that `find`, a
/// member pointer or a function, finds in a Config.
template <typename Owner, typename Find>
std::vector<ConfigField> table(const std::string& name, Find find,
                               const std::vector<Row<Owner>>& rows) {
  std::vector<ConfigField> fields;
  for (const Row<Owner>& row : rows) {
    const bool by_type = !row.binding.names.empty();
    ConfigField field{.key = name + "." + row.leaf,
                      .type = row.binding.type,
                      .allowed = row.allowed.words,
                      .names = by_type ? row.binding.names : row.allowed.names,
                      .unit = row.unit,
                      .about = row.about,
                      .read = {},
                      .write = {}};
    field.write = [=, write = row.binding.write](const Config& config) {
      return write(std::invoke(find, config));
    };
    field.read = [=, described = field](const ConfigEntry& entry, Config& config) {
      if (const Complaint found = row.binding.read(entry.value, std::invoke(find, config))) {
        refuse_value(described, entry, *found);
      }
      if (const Complaint found = row.allowed.complaint(entry.value)) {
        refuse_value(described, entry, *found);
      }
    };
    fields.push_back(std::move(field));
  }
  return fields;
}

}  // namespace rondo
