#include "checkpoint/huggingface/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/user_error.h"
#include "tests/checkpoint/safetensors_example.h"

namespace rondo {
namespace {

TEST(Safetensors, ReadsEveryFloatTypeBitForBit) {
  const TemporaryFolder folder;
  std::map<std::string, at::Tensor> tensors;
  for (at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16}) {
    tensors[at::toString(type)] = at::randn({3, 5}).to(type);
  }
  tensors["count"] = at::tensor({int64_t{1} << 40}, at::kLong);
  tensors["scalar"] = at::tensor(2.5f);
  tensors["empty"] = at::empty({0, 4});
  write_safetensors(folder.file("a.safetensors"), tensors);
  const SafetensorsFile file(folder.file("a.safetensors"));
  EXPECT_EQ(file.entries().size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(file.read(name).scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(at::equal(file.read(name), tensor)) << name;
  }
}

struct Hostile {
  const char* header;
  const char* complaint;
};

/// Each beside eight bytes of data.
const Hostile hostile_headers[] = {
    {"[]", "the header is not JSON"},
    {"{", "the header is not JSON"},
    {R"({"t": 3})", "tensor t: its header entry is not an object"},
    {R"({"t": {"dtype": "F32", "shape": [2]}})", "tensor t: its header entry needs"},
    {R"({"t": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})", "tensor t: its header"},
    {R"({"t": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}})", "tensor t: its header"},
    {R"({"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]}})", "tensor t: its header"},
    {R"({"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 18446744073709551615]}})",
     "tensor t: its header"},
    {R"({"t": {"dtype": 4, "shape": [2], "data_offsets": [0, 8]}})", "tensor t: its header"},
    {R"({"t": {"dtype": "F31", "shape": [2], "data_offsets": [0, 8]}})",
     R"(tensor t: dtype "F31" is unknown)"},
    {R"({"t": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})", "do not fit F32 of shape"},
    {R"({"t": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})", "do not fit F32 of shape"},
    {R"({"t": {"dtype": "F32", "shape": [4611686018427387904, 2], "data_offsets": [0, 0]}})",
     "do not fit F32 of shape"},
    {R"({"t": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})",
     "is truncated: 8 bytes of tensors where its header lists 16"},
    {R"({"t": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", "expected to begin at 0"},
    {R"({"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})",
     "is damaged: 8 bytes of tensors where its header lists 4"},
    {R"({"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
         "u": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
     "tensor u lies at 4 to 8, expected to begin at 8"}};

TEST(Safetensors, NamesFileAndTensorOfAHostileHeader) {
  const TemporaryFolder folder;
  const std::string path = folder.file("hostile.safetensors");
  for (const Hostile& hostile : hostile_headers) {
    write_safetensors_bytes(path, hostile.header, std::string(8, '\0'));
    const std::string error = error_of<UserError>([&] { SafetensorsFile file(path); });
    EXPECT_NE(error.find(hostile.complaint), std::string::npos) << hostile.header << "\n" << error;
    EXPECT_EQ(error.find(path), 0u) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

TEST(Safetensors, RefusesAHeaderLongerThanTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.safetensors");
  for (uint64_t length : {uint64_t{3}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 7}) {
    write_file(path, std::string(reinterpret_cast<const char*>(&length), 8) + "{}");
    const std::string error = error_of<UserError>([&] { SafetensorsFile file(path); });
    EXPECT_NE(error.find("a header of " + std::to_string(length) + " bytes"), std::string::npos)
        << error;
  }
  write_file(path, "short");
  EXPECT_NE(error_of<UserError>([&] { SafetensorsFile file(path); }).find("it has 5 bytes"),
            std::string::npos);
  EXPECT_NE(
      error_of<UserError>([&] { SafetensorsFile file(folder.file("none")); }).find("No such file"),
      std::string::npos);
}

TEST(Safetensors, RefusesATruncatedFileAtEveryLength) {
  const TemporaryFolder folder;
  write_safetensors(folder.file("a"), {{"t", at::ones({2})}, {"u", at::ones({3})}});
  const std::string whole = read_file(folder.file("a"));
  for (size_t length = 0; length < whole.size(); ++length) {
    write_file(folder.file("cut"), whole.substr(0, length));
    EXPECT_NE(error_of<UserError>([&] { SafetensorsFile file(folder.file("cut")); }), "") << length;
  }
}

TEST(Safetensors, RefusesAnIntegerTypeWhenItIsRead) {
  const TemporaryFolder folder;
  write_safetensors_bytes(folder.file("a"),
                          R"({"t": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}})",
                          std::string(8, '\0'));
  const SafetensorsFile file(folder.file("a"));
  EXPECT_NE(error_of<UserError>([&] { file.read("t"); }).find("tensor t is U8"), std::string::npos);
  EXPECT_NE(error_of<UserError>([&] { file.read("u"); }).find("has no tensor u"),
            std::string::npos);
}

TEST(SafetensorsFolder, ReadsOneFileOrTheShardsOfAnIndex) {
  const TemporaryFolder folder;
  write_safetensors(folder.file("model.safetensors"), {{"t", at::full({2}, 1.0)}});
  EXPECT_TRUE(at::equal(SafetensorsFolder(folder.path()).read("t"), at::full({2}, 1.0)));
  write_safetensors(folder.file("m1.safetensors"), {{"t", at::full({2}, 2.0)}});
  write_safetensors(folder.file("m2.safetensors"), {{"u", at::full({2}, 3.0)}});
  write_file(folder.file("model.safetensors.index.json"),
             R"({"weight_map": {"t": "m1.safetensors", "u": "m2.safetensors"}})");
  // transformers looks for the whole file first.
  const SafetensorsFolder whole(folder.path());
  EXPECT_TRUE(whole.passes_index_over());
  EXPECT_EQ(whole.names(), (std::vector<std::string>{"t"}));
  EXPECT_TRUE(at::equal(whole.read("t"), at::full({2}, 1.0)));
  std::filesystem::remove(folder.file("model.safetensors"));
  const SafetensorsFolder sharded(folder.path());
  EXPECT_FALSE(sharded.passes_index_over());
  EXPECT_EQ(sharded.names(), (std::vector<std::string>{"t", "u"}));
  EXPECT_TRUE(at::equal(sharded.read("t"), at::full({2}, 2.0)));
  EXPECT_TRUE(at::equal(sharded.read("u"), at::full({2}, 3.0)));
}

TEST(SafetensorsFolder, RefusesAnIndexThatIsNotTrue) {
  const TemporaryFolder folder;
  const auto complaint = [&](const std::string& index) {
    write_file(folder.file("model.safetensors.index.json"), index);
    return error_of<UserError>([&] { SafetensorsFolder opened(folder.path()); });
  };
  EXPECT_NE(error_of<UserError>([&] {
              SafetensorsFolder opened(folder.path());
            }).find("has neither model.safetensors nor"),
            std::string::npos);
  write_safetensors(folder.file("m1"), {{"t", at::ones({2})}});
  EXPECT_EQ(complaint(R"({"weight_map": {"t": "m1"}})"), "");
  EXPECT_NE(complaint("nonsense").find("is not a JSON object"), std::string::npos);
  EXPECT_NE(complaint(R"({"weight_map": {"t": "../m1"}})").find("expected a file of this folder"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"weight_map": {"t": ".."}})").find(".."), std::string::npos);
}

TEST(SafetensorsFolder, KnowsWhatAnIndexListsAndNoFileHolds) {
  const TemporaryFolder folder;
  write_safetensors(folder.file("m1"), {{"t", at::ones({2})}});
  write_file(folder.file("model.safetensors.index.json"),
             R"({"weight_map": {"t": "m1", "u": "m1", "v": "m2"}})");
  const SafetensorsFolder opened(folder.path());
  EXPECT_EQ(opened.names(), std::vector<std::string>{"t"});
  EXPECT_EQ(opened.missing(), (std::vector<std::string>{"u", "v"}));
  EXPECT_NE(opened.why_missing("u").find("tensor u is in m1, where it is not"), std::string::npos);
  EXPECT_NE(opened.why_missing("v").find("names m2, which is not beside it"), std::string::npos);
  EXPECT_NE(opened.why_missing("w").find("does not list it"), std::string::npos);
}

TEST(SafetensorsFolder, TakesTheNamesOfWrappersOut) {
  const TemporaryFolder folder;
  const std::string file = folder.file("model.safetensors");
  write_safetensors(file, {{"module._orig_mod.a.weight", at::ones({2})},
                           {"a._orig_mod.b._fsdp_wrapped_module.weight", at::ones({3})},
                           {"modules.module_list.bias", at::ones({1})}});
  const SafetensorsFolder opened(folder.path());
  EXPECT_EQ(opened.names(),
            (std::vector<std::string>{"a.b.weight", "a.weight", "modules.module_list.bias"}));
  EXPECT_EQ(opened.read("a.b.weight").size(0), 3);
  EXPECT_EQ(opened.file_of("a.weight"), file);
  write_safetensors(file, {{"module.a", at::ones({2})}, {"a", at::ones({2})}});
  EXPECT_NE(error_of<UserError>([&] {
              SafetensorsFolder twice(folder.path());
            }).find("has tensor a twice, as a and as module.a: delete one"),
            std::string::npos);
}

TEST(SafetensorsFolder, AdvisesWhatTheFolderHolds) {
  const auto complaint = [](const std::vector<std::string>& names) {
    const TemporaryFolder folder;
    for (const std::string& name : names) write_file(folder.file(name), "");
    return error_of<UserError>([&] { SafetensorsFolder opened(folder.path()); });
  };
  EXPECT_NE(complaint({"config.json"}).find("copy or download it too"), std::string::npos);
  EXPECT_EQ(complaint({"config.json"}).find("safe_serialization"), std::string::npos);
  EXPECT_NE(complaint({"pytorch_model.bin"})
                .find("save the model of pytorch_model.bin again with safe_serialization=True"),
            std::string::npos);
  EXPECT_NE(complaint({"pytorch_model.bin", "model.fp16.safetensors"})
                .find("it holds model.fp16.safetensors: call that model.safetensors"),
            std::string::npos);
  EXPECT_NE(complaint({"adapter_model.safetensors"}).find("merge_and_unload"), std::string::npos);
}

}  // namespace
}  // namespace rondo
