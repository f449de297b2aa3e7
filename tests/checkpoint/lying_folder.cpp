#include "tests/checkpoint/lying_folder.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "tests/checkpoint/hugging_face_example.h"

namespace rondo {
namespace {

using Json = nlohmann::json;

constexpr const char* model_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

/// A correct file with another header.
Damage with_header(const std::string& what,
                   const std::function<std::string(const std::string& header)>& change) {
  return {fmt::format("{}: {}", model_file, what), [=](const std::string& folder) {
            const std::string path = fmt::format("{}/{}", folder, model_file);
            const std::string bytes = read_file(path);
            uint64_t length = 0;
            std::memcpy(&length, bytes.data(), sizeof(length));
            write_safetensors_bytes(path, change(bytes.substr(8, length)),
                                    bytes.substr(8 + length));
          }};
}

/// A correct file with another entry of one tensor, a square one.
Damage with_entry(const std::string& what, const std::function<void(Json& entry)>& change) {
  return with_header(what, [=](const std::string& header) {
    Json json = Json::parse(header);
    change(json["model.layers.1.self_attn.q_proj.weight"]);
    return json.dump();
  });
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const size_t at = text.find(part);
  return at == std::string::npos ? text : text.replace(at, part.size(), by);
}

/// Eight bytes of length before a header that stays.
Damage with_length(int64_t length) {
  return {fmt::format("{}: a header of {} bytes", model_file, length),
          [=](const std::string& folder) {
            const std::string path = fmt::format("{}/{}", folder, model_file);
            std::string bytes = read_file(path);
            std::memcpy(bytes.data(), &length, sizeof(length));
            write_file(path, bytes);
          }};
}

std::vector<Damage> lying_texts() {
  const std::string q_proj = "\"model.layers.1.self_attn.q_proj.weight\"";
  const auto constant = [](const std::string& what, const std::string& text) {
    return with_header(what, [=](const std::string&) { return text; });
  };
  const auto renamed = [&](const std::string& what, const std::string& name) {
    return with_header(what, [=](const std::string& text) { return replaced(text, q_proj, name); });
  };
  return {constant("nesting as deep as the stack", nested(2'000'000)),
          constant("objects as deep as the stack", "{\"a\":" + nested(2'000'000) + "}"),
          constant("braces that never close", std::string(1'000'000, '{')),
          constant("names that never close", R"({")" + std::string(1'000'000, 'a')),
          constant("an empty header", ""),
          constant("no tensors", "{}"),
          constant("a list", "[]"),
          constant("a number with many digits", "{\"a\": " + std::string(100'000, '9') + "}"),
          with_header("half of it", [](const std::string& text) { return text.substr(0, 500); }),
          with_header("twice", [](const std::string& text) { return text + text; }),
          renamed("a name twice", "\"model.layers.0.self_attn.q_proj.weight\""),
          with_header("a tensor twice",
                      [](const std::string& text) {
                        return R"({"model.norm.weight": )"
                               R"({"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}, )" +
                               text.substr(1);
                      }),
          renamed("a name that is not UTF-8", "\"q\xff\xfe\""),
          renamed("a name of a surrogate", R"("\ud800")"),
          renamed("a name with a line", R"("a\nb")"),
          renamed("a name of nothing", R"("")"),
          renamed("a name as long as a book", "\"" + std::string(1'000'000, 'a') + "\""),
          renamed("a tensor that the model has not", "\"model.layers.1.self_attn.q_proj.bias\"")};
}

}  // namespace

std::vector<Damage> lying_headers() {
  std::vector<Damage> damages = lying_texts();
  for (const int64_t length :
       {int64_t{0}, int64_t{1}, int64_t{-1}, INT64_MIN, INT64_MAX, int64_t{-8},
        int64_t{100'000'000}, int64_t{1} << 32, int64_t{10'000}}) {
    damages.push_back(with_length(length));
  }
  for (const char* offsets :
       {"[0, 256]", "[8, 0]", "[-8, 248]", "[0, 9223372036854775807]", "[9223372036854775800, 56]",
        "[9223372036854775807, 9223372036854776063]", "[18446744073709551360, 0]", "[0]", "[]",
        "[0, 128, 256]", "[0.0, 256.0]", "\"0, 256\"", "null", "[1e3, 1e4]", "[[0], [256]]",
        "[100000000, 100000256]"}) {
    damages.push_back(with_entry(fmt::format("offsets {}", offsets), [=](Json& entry) {
      entry["data_offsets"] = Json::parse(offsets);
    }));
  }
  for (const char* shape :
       {"[8, 9]", "[64]", "[4, 16]", "[]", "[-8, -8]", "[8.0, 8.0]", "[4294967296, 4294967296]",
        "[9223372036854775807, 9223372036854775807]", "[0, 9223372036854775807, 4]",
        "[4611686018427387904, 4]", "[1, 1, 1, 1, 1, 1, 1, 1, 1, 64]", "null", "8", "[\"8\", 8]",
        "[[8], 8]", "[8, 8, 1]"}) {
    damages.push_back(with_entry(fmt::format("shape {}", shape),
                                 [=](Json& entry) { entry["shape"] = Json::parse(shape); }));
  }
  for (const char* dtype : {"\"F33\"", "\"\"", "\"f32\"", "4", "null", "[\"F32\"]", "\"I32\"",
                            "\"U32\"", "\"F64\"", "\"BF16\"", "\"F32 \""}) {
    damages.push_back(with_entry(fmt::format("dtype {}", dtype),
                                 [=](Json& entry) { entry["dtype"] = Json::parse(dtype); }));
  }
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    damages.push_back(
        with_entry(fmt::format("no {}", key), [=](Json& entry) { entry.erase(key); }));
  }
  damages.push_back(with_entry("an entry of nothing", [](Json& entry) { entry = nullptr; }));
  return damages;
}

std::vector<Damage> lying_indices() {
  std::vector<Damage> damages;
  const auto edited = [&](const std::string& what, const std::function<void(Json & map)>& change) {
    damages.push_back({fmt::format("{}: {}", index_file, what), [=](const std::string& folder) {
                         const std::string path = fmt::format("{}/{}", folder, index_file);
                         Json index = Json::parse(read_file(path));
                         change(index["weight_map"]);
                         write_file(path, index.dump());
                       }});
  };
  for (const char* shard : {"c.safetensors", "b.safetensors", "", ".", "..", "../a.safetensors",
                            "./b.safetensors", "/etc/passwd", "/dev/zero", "config.json", "a/b",
                            "model.safetensors.index.json", "a.safetensors/"}) {
    edited(fmt::format("the norm is in '{}'", shard),
           [=](Json& map) { map["model.norm.weight"] = shard; });
  }
  edited("the norm is in a number", [](Json& map) { map["model.norm.weight"] = 3; });
  edited("the norm is in a list", [](Json& map) { map["model.norm.weight"] = {"a.safetensors"}; });
  edited("the norm is missing", [](Json& map) { map.erase("model.norm.weight"); });
  edited("a tensor that no shard has", [](Json& map) { map["bias"] = "a.safetensors"; });
  edited("no tensors", [](Json& map) { map = Json::object(); });
  edited("a list", [](Json& map) { map = Json::array(); });
  edited("nothing", [](Json& map) { map = nullptr; });
  damages.push_back(written(index_file, "{\"weight_map\": " + nested(2'000'000) + "}", "too deep"));
  damages.push_back(written(index_file, "{\"weight_map\": {\"a\": ", "cut off"));
  damages.push_back(written(index_file, R"({"weight_map": {"a": "x", "a": "y"}})", "a name twice"));
  damages.push_back(written(index_file, "{\"weight_map\": {\"\xff\": \"a\"}}", "not UTF-8"));
  return damages;
}

std::vector<Damage> lying_configs() {
  std::vector<Damage> damages;
  const std::vector<std::pair<std::string, std::string>> values = {
      {"zero", "0"},
      {"negative", "-1"},
      {"one more", "9"},
      {"large", "100000000"},
      {"beyond 32 bits", "2147483648"},
      {"huge", "4611686018427387904"},
      {"beyond 64 bits", "18446744073709551616"},
      {"beyond any float", "1e999"},
      {"of many digits", std::string(10'000, '7')},
      {"a fraction", "7.5"},
      {"a text", "\"8\""},
      {"a list", "[8]"},
      {"an object", R"({"a": 8})"},
      {"nothing", "null"},
      {"too deep", nested(1'000'000)},
      {"no JSON", "8,,"}};
  const Json config = tiny_config();
  for (const auto& [key, old] : config.items()) {
    if (key == "rms_norm_eps" || key == "rope_theta") continue;  // any number may be right
    const std::string before = Json(key).dump() + ":";
    for (const auto& [what, value] : values) {
      const std::string text = replaced(config.dump(), before + old.dump(), before + value);
      damages.push_back(written("config.json", text, fmt::format("{} is {}", key, what)));
    }
  }
  for (const char* key : {"rope_scaling", "rope_parameters", "head_dim", "hidden_act"}) {
    for (const char* value : {"[]", "\"x\"", "-4", "{\"rope_type\": [[]]}"}) {
      std::string text = config.dump();
      text.insert(1, fmt::format("\"{}\": {}, ", key, value));
      damages.push_back(written("config.json", text, fmt::format("{} is {}", key, value)));
    }
  }
  return damages;
}

}  // namespace rondo
