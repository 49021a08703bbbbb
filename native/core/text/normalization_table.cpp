// Checks the double array of a sentencepiece normaliser. See CheckNormalizationTable in sentencepiece_check.h.
#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/text/sentencepiece_check.h"

namespace ft {
namespace {

// The library reserves room for this many matches of one position.
constexpr int kMaxMatches = 32;

[[noreturn]] void Refuse(const std::string& where, const char* reason) {
  throw Error(ErrorCode::kTokenizer, fmt::format("{}: not a valid sentencepiece model: its normalisation table {}", where, reason),
              "Copy the file again from where the model came from.")
      .With("path", where);
}

/// One unit of darts-clone's double array.
struct Unit {
  uint32_t bits;
  bool has_leaf() const { return ((bits >> 8) & 1) != 0; }
  uint32_t value() const { return bits & 0x7fffffffU; }
  uint32_t label() const { return bits & (0x80000000U | 0xffU); }
  uint32_t offset() const { return (bits >> 10) << ((bits & (1U << 9)) >> 6); }
};

class TableWalk {
 public:
  TableWalk(std::vector<Unit> units, std::string_view strings, const std::string& where)
      : units_(std::move(units)), strings_(strings), where_(where), depth_(units_.size(), kUnseen) {}

  /// Depth-first over every unit that some text can reach. The graph may share nodes (it is a minimal automaton),
  /// but has no cycle: otherwise a long text matches without end.
  void Run() {
    Enter(0);
    while (!stack_.empty()) {
      Visit& top = stack_.back();
      if (top.label < 256) {
        const uint32_t label = top.label++;
        const uint32_t child = top.base ^ label;
        if (units_[child].label() != label) continue;
        if (depth_[child] == kOpen) Refuse(where_, "has a cycle");
        if (depth_[child] == kUnseen) {
          Enter(child);
        } else {
          Note(top, depth_[child]);
        }
        continue;
      }
      const Visit done = top;
      stack_.pop_back();
      const int matches = done.below + (done.leaf ? 1 : 0);
      if (matches > kMaxMatches) Refuse(where_, "has too many matches for one text");
      depth_[done.node] = matches;
      if (!stack_.empty()) Note(stack_.back(), matches);
    }
  }

 private:
  static constexpr int kUnseen = -1;
  static constexpr int kOpen = -2;
  struct Visit {
    uint32_t node;
    uint32_t base;
    uint32_t label;  // next to try
    int below;       // most matches on a path below
    bool leaf;
  };

  static void Note(Visit& visit, int matches) { visit.below = std::max(visit.below, matches); }

  void Enter(uint32_t node) {
    const Unit unit = units_[node];
    const uint64_t base = static_cast<uint64_t>(node) ^ unit.offset();
    if ((base | 0xff) >= units_.size()) Refuse(where_, "points outside itself");
    if (unit.has_leaf()) CheckValue(units_[base]);
    depth_[node] = kOpen;
    stack_.push_back({node, static_cast<uint32_t>(base), 0, 0, unit.has_leaf()});
  }

  void CheckValue(Unit leaf) {
    const uint32_t value = leaf.value();
    if (value >= strings_.size()) Refuse(where_, "points outside its strings");
    if ((static_cast<unsigned char>(strings_[value]) & 0xc0) == 0x80) Refuse(where_, "points into the middle of a character");
  }

  std::vector<Unit> units_;
  std::string_view strings_;
  const std::string& where_;
  std::vector<int> depth_;  // most matches from a node on; kUnseen; kOpen while it is on the stack
  std::vector<Visit> stack_;
};

}  // namespace

void CheckNormalizationTable(std::string_view blob, const std::string& where) {
  uint32_t array_bytes = 0;
  if (blob.size() <= sizeof(array_bytes)) Refuse(where, "is too short");
  std::memcpy(&array_bytes, blob.data(), sizeof(array_bytes));
  blob.remove_prefix(sizeof(array_bytes));
  if (array_bytes >= blob.size()) Refuse(where, "is shorter than it says");
  if (array_bytes == 0 || array_bytes % sizeof(Unit) != 0) Refuse(where, "has an impossible size");
  std::vector<Unit> units(array_bytes / sizeof(Unit));
  std::memcpy(units.data(), blob.data(), array_bytes);
  const std::string_view strings = blob.substr(array_bytes);
  if (strings.back() != '\0') Refuse(where, "does not end its last string");
  if (!IsUtf8(strings)) Refuse(where, "has strings that are not UTF-8");
  TableWalk(std::move(units), strings, where).Run();
}

}  // namespace ft
