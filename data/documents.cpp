#include "data/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mapped_file.h"
#include "base/user_error.h"
#include "data/tokenizers/text_blocks.h"
#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

/// The line boundary nearest to `target` and within a block of it, else the character boundary.
size_t boundary_near(std::string_view text, size_t target) {
  const size_t begin = target - std::min(target, block_bytes);
  const size_t before = text.substr(begin, target - begin).rfind('\n');
  const size_t after = text.substr(target, block_bytes).find('\n');
  const bool has_before = before != std::string_view::npos;
  const bool has_after = after != std::string_view::npos && target + after + 1 < text.size();
  const size_t earlier = has_before ? begin + before + 1 : 0;
  const size_t later = has_after ? target + after + 1 : text.size();
  if (has_before && (!has_after || target - earlier <= later - target)) return earlier;
  return has_after ? later : character_boundary(text, target);
}

size_t held_out_from(std::string_view text, double holdout) {
  if (holdout == 0) return text.size();
  return boundary_near(text, static_cast<size_t>(static_cast<double>(text.size()) * (1 - holdout)));
}

void check_utf8(const std::string& path, std::string_view text) {
  const auto bad = first_invalid_utf8(text);
  if (!bad) return;
  throw UserError(
      fmt::format("{}: not UTF-8 at byte {} (0x{:02X}); convert the file, or use "
                  "--tokenizer bytes",
                  path, *bad, static_cast<unsigned char>(text[*bad])));
}

/// Calls `use` with each line of `text` that is not empty, and its number from 1 on.
template <typename Use>
void each_line(std::string_view text, Use use) {
  for (int64_t number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) use(line, number);
  }
}

}  // namespace

Documents::Documents(DocumentOptions options) : options_(std::move(options)) {
  for (const std::string& file : options_.files) {
    int64_t bytes = 0;
    each_text(file, [&](std::string_view text) {
      if (options_.needs_utf8 && options_.jsonl_key.empty()) check_utf8(file, text);
      bytes += static_cast<int64_t>(text.size());
    });
    if (bytes == 0) throw UserError(fmt::format("{}: the file is empty; leave it out", file));
    bytes_ += bytes;
  }
}

void Documents::each_text(const std::string& path,
                          const std::function<void(std::string_view)>& use) const {
  const MappedFile file(path);
  if (options_.jsonl_key.empty()) return use(file.view());
  each_line(file.view(), [&](std::string_view line, int64_t number) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool has_text = json.is_object() && json.contains(options_.jsonl_key) &&
                          json[options_.jsonl_key].is_string();
    if (!has_text) {
      throw UserError(
          fmt::format("{}:{}: not a JSON object with a text under \"{}\"; see "
                      "--jsonl-key",
                      path, number, options_.jsonl_key));
    }
    use(json[options_.jsonl_key].get_ref<const std::string&>());
  });
}

void Documents::each(const std::function<void(std::string_view, std::string_view)>& use) const {
  for (const std::string& file : options_.files) {
    each_text(file, [&](std::string_view text) {
      if (text.empty()) return;
      const size_t cut = held_out_from(text, options_.holdout);
      use(text.substr(0, cut), text.substr(cut));
    });
  }
}

std::vector<std::string> read_file_list(const std::string& file) {
  std::vector<std::string> files;
  each_line(MappedFile(file).view(),
            [&](std::string_view line, int64_t) { files.emplace_back(line); });
  if (files.empty()) throw UserError(fmt::format("{}: names no file; write one a line", file));
  return files;
}

}  // namespace rondo
