// Rotary embedding facts of a config.json: the legacy spelling (rope_scaling beside rope_theta) and the
// one of transformers 5 (rope_parameters), with its precedence (modeling_rope_utils.py).
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "core/arch/families.h"
#include "core/base/error.h"

namespace ft {
namespace {

constexpr double kLargest = 1e12;  // of thetas and factors

RopeType ParseRopeType(const ConfigReader& rope, bool only_long) {
  static constexpr std::array<std::pair<std::string_view, RopeType>, 7> kNames{{
      {"default", RopeType::kDefault},
      {"linear", RopeType::kLinear},
      {"dynamic", RopeType::kDynamic},
      {"llama3", RopeType::kLlama3},
      {"yarn", RopeType::kYarn},
      {"longrope", RopeType::kLongRope},
      {"su", RopeType::kLongRope},  // its first name
  }};
  const char* key = rope.Has("rope_type") ? "rope_type" : "type";
  const std::string name = rope.Text(key, "default");
  if (only_long && name == "yarn") return RopeType::kLongRope;
  for (const auto& [known, type] : kNames) {
    if (name == known && (!only_long || type == RopeType::kDefault || type == RopeType::kLongRope)) return type;
  }
  rope.Unsupported(key, JsonQuote(Shorten(name)), "Supported: default, linear, dynamic, llama3, yarn, longrope.");
}

void Require(const ConfigReader& rope, const char* key) {
  if (rope.Find(key) == nullptr) rope.Bad(key, "a value (this rope type needs it)");
}

double Factor(const ConfigReader& rope) {
  Require(rope, "factor");
  return rope.Number("factor", 1.0, 0, kLargest, /*above_min=*/true);
}

// max_position_embeddings of the pre-training. A top-level key comes first, as in transformers.
int64_t OriginalPositions(const ConfigReader& config, const ConfigReader& rope, const DecoderSpec& spec, const RopeDefaults& defaults) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (const auto top = config.OptionalInt(kKey, 1, kMaxPositions)) return *top;
  if (defaults.original_max_position_embeddings > 0) return defaults.original_max_position_embeddings;
  return rope.OptionalInt(kKey, 1, kMaxPositions).value_or(spec.max_position_embeddings);
}

void ParseLlama3(const ConfigReader& rope, RopeSpec* out) {
  out->factor = Factor(rope);
  Require(rope, "low_freq_factor");
  Require(rope, "high_freq_factor");
  out->low_freq_factor = rope.Number("low_freq_factor", 1, 0, kLargest, /*above_min=*/true);
  out->high_freq_factor = rope.Number("high_freq_factor", 4, 0, kLargest, /*above_min=*/true);
  if (out->high_freq_factor <= out->low_freq_factor) {
    rope.Bad("high_freq_factor", fmt::format("more than low_freq_factor ({})", out->low_freq_factor));
  }
}

// 0 and null mean "absent" for the optional numbers, as in transformers (`value or default`).
double OrDefault(const ConfigReader& rope, const char* key, double fallback) {
  const double value = rope.OptionalNumber(key, 0, kLargest).value_or(0);
  return value > 0 ? value : fallback;
}

void ParseYarn(const ConfigReader& rope, const DecoderSpec& spec, RopeSpec* out) {
  Require(rope, "factor");
  out->factor = rope.OptionalNumber("factor", 0, kLargest, /*above_min=*/true)
                    .value_or(static_cast<double>(spec.max_position_embeddings) /
                              static_cast<double>(out->original_max_position_embeddings));
  out->beta_fast = OrDefault(rope, "beta_fast", 32.0);
  out->beta_slow = OrDefault(rope, "beta_slow", 1.0);
  out->mscale = OrDefault(rope, "mscale", 0.0);
  out->mscale_all_dim = OrDefault(rope, "mscale_all_dim", 0.0);
  out->attention_factor = rope.OptionalNumber("attention_factor", 0, kLargest, /*above_min=*/true).value_or(0);
  out->truncate = rope.Bool("truncate", true);
  // The correction range divides by the logarithm of theta.
  if (out->rope_theta <= 1) rope.Bad("rope_theta", "more than 1", fmt::format("{}", out->rope_theta));
}

std::vector<double> Factors(const ConfigReader& rope, const char* key, int64_t count) {
  Require(rope, key);
  const auto factors = rope.NumberList(key, 0, kLargest, /*above_min=*/true).value_or(std::vector<double>{});
  if (static_cast<int64_t>(factors.size()) != count) rope.Bad(key, fmt::format("{} numbers, one a pair of dimensions that turn", count), std::to_string(factors.size()));
  return factors;
}

void ParseLongRope(const ConfigReader& rope, const DecoderSpec& spec, RopeSpec* out) {
  out->short_factor = Factors(rope, "short_factor", out->dim / 2);
  out->long_factor = Factors(rope, "long_factor", out->dim / 2);
  out->factor = rope.OptionalNumber("factor", 0, kLargest, /*above_min=*/true)
                    .value_or(static_cast<double>(spec.max_position_embeddings) / static_cast<double>(out->original_max_position_embeddings));
  out->attention_factor = rope.OptionalNumber("attention_factor", 0, kLargest, /*above_min=*/true).value_or(0);
}

// What every spelling comes to: the object that holds the parameters, if there is one.
RopeSpec ParseRopeFrom(const ConfigReader& config, const std::optional<ConfigReader>& rope, const DecoderSpec& spec, const RopeDefaults& defaults) {
  RopeSpec out;
  out.rope_theta = config.Number("rope_theta", defaults.rope_theta, 0, kLargest, /*above_min=*/true);
  const bool whole = defaults.partial_rotary_factor == 0;
  double partial = config.OptionalNumber("partial_rotary_factor", 0, 1).value_or(whole ? 1.0 : defaults.partial_rotary_factor);
  if (rope) {
    out.rope_theta = rope->Number("rope_theta", out.rope_theta, 0, kLargest, /*above_min=*/true);
    partial = rope->OptionalNumber("partial_rotary_factor", 0, 1).value_or(partial);
  }
  if (whole && partial != 1.0) {
    config.Unsupported("partial_rotary_factor", "other than 1", "Use a checkpoint that turns whole heads: its family does nothing else.");
  }
  out.dim = static_cast<int64_t>(static_cast<double>(spec.head_dim) * partial);
  if (out.dim % 2 != 0 || out.dim == 0) {
    config.Bad(partial == 1.0 ? "head_dim" : "partial_rotary_factor", "an even number of dimensions that turn (rotary embedding turns pairs)",
               std::to_string(out.dim));
  }
  if (!rope) return out;
  out.type = ParseRopeType(*rope, defaults.only_long);
  switch (out.type) {
    case RopeType::kDefault:
      break;
    case RopeType::kLinear:
      out.factor = Factor(*rope);
      break;
    case RopeType::kDynamic:
      out.factor = Factor(*rope);
      // transformers measures growth against max_position_embeddings here, whatever else the config says.
      out.original_max_position_embeddings = spec.max_position_embeddings;
      if (out.dim <= 2) config.Bad("head_dim", "more than 2 for dynamic rope", std::to_string(out.dim));
      break;
    case RopeType::kLlama3:
      out.original_max_position_embeddings = OriginalPositions(config, *rope, spec, defaults);
      ParseLlama3(*rope, &out);
      break;
    case RopeType::kYarn:
      out.original_max_position_embeddings = OriginalPositions(config, *rope, spec, defaults);
      ParseYarn(*rope, spec, &out);
      break;
    case RopeType::kLongRope:
      out.original_max_position_embeddings = OriginalPositions(config, *rope, spec, defaults);
      ParseLongRope(*rope, spec, &out);
      break;
  }
  return out;
}

}  // namespace

RopeSpec ParseRope(const ConfigReader& config, const DecoderSpec& spec, const RopeDefaults& defaults) {
  // A legacy rope_scaling that says something wins over rope_parameters.
  auto rope = config.Object("rope_scaling");
  if (!rope) rope = config.Object("rope_parameters");
  for (const char* nested : {"full_attention", "sliding_attention"}) {
    if (rope && rope->Find(nested) != nullptr) {
      rope->Unsupported(nested, "(rotary embedding by layer type)", "Use a checkpoint with one rotary embedding for all layers.");
    }
  }
  return ParseRopeFrom(config, rope, spec, defaults);
}

std::vector<RopeSpec> ParseRopesByType(const ConfigReader& config, const DecoderSpec& spec, const RopesByType& defaults) {
  const auto nested = config.Object("rope_parameters");
  const auto of = [&](const char* type) { return nested ? nested->Object(type) : std::nullopt; };
  auto full = of("full_attention");
  const auto sliding = of("sliding_attention"), scaling = config.Object("rope_scaling");
  if (full && scaling) config.Unsupported("rope_scaling", "beside rope_parameters.full_attention", "Keep one of the two in config.json.");
  if (!full) full = scaling;
  RopeSpec turned = ParseRopeFrom(config, sliding, spec, {.rope_theta = defaults.sliding_theta});
  const double local = config.Number(defaults.sliding_theta_key, defaults.sliding_theta, 0, kLargest, /*above_min=*/true);
  turned.rope_theta = sliding ? sliding->Number("rope_theta", local, 0, kLargest, /*above_min=*/true) : local;
  return {ParseRopeFrom(config, full, spec, {.rope_theta = defaults.full_theta}), turned};
}

}  // namespace ft
