// hf_config_tool: answers the lines of its input, one line of JSON each. `read DIR`: the model that
// config.json describes, or why it is refused; `export DIR`: the config.json that rondo writes for
// it; `table`: the rows of all families. One process answers all: LibTorch takes its time to load.
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "base/user_error.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/huggingface/hf_config.h"
#include "model/definition/families.h"

namespace {

using namespace rondo;
using Json = nlohmann::json;

Json row_json(const ForeignModel& row) {
  Json keys = Json::array();
  for (const ForeignKey& key : row.keys) {
    if (!key.places.empty()) keys.push_back(key.places);
  }
  Json fixed = Json::object();
  for (const FixedKey& key : row.fixed) {
    for (const auto& value : key.values) {
      fixed[key.place].push_back(std::visit([](const auto& v) { return Json(v); }, value));
    }
  }
  return {{"model_type", row.model_type},
          {"architecture", row.architecture},
          {"keys", keys},
          {"fixed", fixed}};
}

Json answer(const std::string& way, const std::string& dir) {
  try {
    const ModelSpec model = read_hugging_face_config(dir);
    if (way == "read") return Json::parse(model_to_json(model));
    std::ifstream file(dir + "/config.json");
    const std::string origin{std::istreambuf_iterator<char>(file), {}};
    return Json::parse(hugging_face_config(model, at::kFloat, {}, origin));
  } catch (const UserError& error) {
    return error.what();
  }
}

Json table() {
  Json rows = Json::array();
  for (const Family& family : families()) {
    for (const ForeignModel& row : family.foreign) rows.push_back(row_json(row));
  }
  return rows;
}

}  // namespace

int main() {
  std::string way, dir;
  while (std::cin >> way) {
    if (way == "table") {
      std::cout << table() << std::endl;
    } else {
      std::cin >> dir;
      std::cout << answer(way, dir) << std::endl;
    }
  }
  return 0;
}
