#include "data/dataset/position.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "base/json_integer.h"
#include "base/user_error.h"

namespace rondo {

int64_t DataPhase::samples() const {
  return std::accumulate(
      corpora.begin(), corpora.end(), int64_t{0},
      [](int64_t sum, const CorpusProgress& corpus) { return sum + corpus.samples; });
}

bool DataPhase::has_order_of(const DataPhase& other) const {
  return sequence == other.sequence && shuffle == other.shuffle &&
         (!shuffle || seed == other.seed) && validation == other.validation &&
         std::equal(corpora.begin(), corpora.end(), other.corpora.begin(), other.corpora.end(),
                    [](const CorpusProgress& a, const CorpusProgress& b) {
                      return a.is_same_corpus(b) && a.weight == b.weight;
                    });
}

int64_t samples_of(const DataPosition& position) {
  return std::accumulate(position.begin(), position.end(), int64_t{0},
                         [](int64_t sum, const DataPhase& phase) { return sum + phase.samples(); });
}

std::string to_json(const DataPosition& position) {
  auto json = nlohmann::ordered_json::array();
  for (const DataPhase& phase : position) {
    auto corpora = nlohmann::ordered_json::array();
    for (const CorpusProgress& corpus : phase.corpora) {
      corpora.push_back({{"name", corpus.name},
                         {"tokens", corpus.tokens},
                         {"weight", corpus.weight},
                         {"samples", corpus.samples}});
    }
    json.push_back({{"sequence", phase.sequence},
                    {"shuffle", phase.shuffle},
                    {"seed", phase.seed},
                    {"validation", phase.validation},
                    {"corpora", std::move(corpora)}});
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

DataPosition position_from_json(std::string_view text, const std::string& where) {
  const auto refuse = [&] {
    return UserError(fmt::format(
        "{}: its data position is damaged; use another checkpoint, or start from its weights with "
        "train.init={} and checkpoint.resume=never",
        where, where));
  };
  try {
    DataPosition position;
    for (const nlohmann::json& phase : nlohmann::json::parse(text)) {
      DataPhase read{json_integer(phase.at("sequence")),
                     phase.at("shuffle"),
                     json_integer<uint64_t>(phase.at("seed")),
                     phase.at("validation"),
                     {}};
      for (const nlohmann::json& corpus : phase.at("corpora")) {
        read.corpora.push_back({corpus.at("name"), json_integer(corpus.at("tokens")),
                                corpus.at("weight"), json_integer(corpus.at("samples"))});
        const CorpusProgress& last = read.corpora.back();
        if (last.samples < 0 || !(last.weight > 0)) throw refuse();
      }
      if (read.sequence < 1 || !(read.validation >= 0 && read.validation < 1)) throw refuse();
      position.push_back(std::move(read));
    }
    return position;
  } catch (const nlohmann::json::exception&) {
    throw refuse();
  } catch (const std::invalid_argument&) {
    throw refuse();
  }
}

}  // namespace rondo
