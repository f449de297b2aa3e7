// TensorBoard event files: scalars over steps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/append_file.h"

namespace rondo {

/// CRC-32C (Castagnoli), as in RFC 3720.
uint32_t crc32c(std::string_view bytes);

/// One TFRecord: length (uint64), its masked checksum (uint32), `payload`, its masked checksum; all
/// little-endian.
std::string tf_record(std::string_view payload);

struct Scalar {
  std::string
      tag;  ///< "loss", "sent_bytes/reduce": TensorBoard groups by the part before the slash
  double value = 0;  ///< stored as float32
};

/// The bytes of a PNG.
struct Picture {
  std::string png;
  int width = 0;
  int height = 0;
};

/// One file `events.out.tfevents.<unix time>.<host>.<pid>` in a run's folder.
class EventFile {
 public:
  /// Makes `folder` and the file. `first_step` is the first step that this run will report: points
  /// of an earlier run from there on are dropped by TensorBoard, so that a resumed run shows each
  /// step once. Throws UserError when the file cannot be written.
  EventFile(const std::filesystem::path& folder, int64_t first_step);

  /// Adds one event with all `scalars`. Returns whether all events so far are with the system; see
  /// AppendFile.
  bool add(int64_t step, const std::vector<Scalar>& scalars);

  /// Text that TensorBoard shows as Markdown, and a PNG. Likewise.
  bool add_text(int64_t step, const std::string& tag, const std::string& text);
  bool add_image(int64_t step, const std::string& tag, const Picture& picture);

  std::filesystem::path path() const { return out_.path(); }
  AppendFile& file() { return out_; }

 private:
  AppendFile out_;
};

}  // namespace rondo
