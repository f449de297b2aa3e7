// hf_config_tool read DIR…: the model that each config.json describes, or why it is refused;
// export DIR…: the config.json that rondo writes for it; table: the rows of all families. JSON, a
// line each.
#include <cstdio>
#include <fstream>
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

void print(const Json& json) { std::printf("%s\n", json.dump().c_str()); }

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
    return Json::parse(hugging_face_config(model, torch::kFloat32, {}, origin));
  } catch (const UserError& error) {
    return error.what();
  }
}

}  // namespace

int main(int count, char** words) {
  const std::string way = words[1];
  for (const Family& family : families()) {
    for (const ForeignModel& row : family.foreign) {
      if (way == "table") print(row_json(row));
    }
  }
  for (int i = 2; i < count; ++i) print(answer(way, words[i]));
  return 0;
}
