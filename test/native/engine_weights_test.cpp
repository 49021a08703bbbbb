// Random weights: reproducible for a seed, whatever the number of threads, and normal.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/engine/weights.h"
#include "nn_reference.h"
#include "test.h"

namespace ft::test {
namespace {

std::vector<at::Tensor> RandomWeights(const DecoderSpec& spec, uint64_t seed, int threads, at::ScalarType dtype = at::kFloat) {
  const int before = at::get_num_threads();
  at::set_num_threads(threads);
  Decoder decoder(spec, dtype, at::kCPU);
  RandomiseWeights(decoder, seed, {});
  at::set_num_threads(before);
  std::vector<at::Tensor> weights;
  for (const auto& named : decoder.NamedTensors()) weights.push_back(named.tensor.clone());
  return weights;
}

}  // namespace

TEST(engine_random_weights_depend_on_the_seed_alone) {
  const DecoderSpec spec = TinySpec({});
  const auto one = RandomWeights(spec, 5, 1), three = RandomWeights(spec, 5, 3), other = RandomWeights(spec, 6, 1), rounded = RandomWeights(spec, 5, 2, at::kBFloat16);
  int64_t random = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT(at::equal(one[i], three[i]) && at::equal(one[i].to(at::kBFloat16), rounded[i]));
    if (one[i].dim() < 2) continue;
    ++random;
    EXPECT(!at::equal(one[i], other[i]));
    for (size_t j = 0; j < i; ++j) EXPECT(one[j].dim() < 2 || one[i].view({-1})[0].item<float>() != one[j].view({-1})[0].item<float>());
  }
  EXPECT(random > 10);
}

TEST(engine_random_weights_are_normal) {
  DecoderSpec spec = TinySpec({});
  spec.vocab_size = 60001;  // more than one piece of the fill, and no multiple of four
  spec.hidden_size = 21;
  spec.initializer_range = 0.02;
  const at::Tensor x = RandomWeights(spec, 3, 2)[0].to(at::kDouble).view({-1}) / 0.02;
  EXPECT(x.numel() == 60001 * 21);
  EXPECT_CLOSE(x.mean().item<double>(), 0.0, 5e-3);
  for (const auto& [power, moment] : {std::pair{2, 1.0}, {3, 0.0}, {4, 3.0}, {6, 15.0}}) EXPECT_CLOSE(x.pow(power).mean().item<double>(), moment, 0.02 * power);
  for (const double bound : {-2.0, -1.0, 0.0, 0.5, 3.0}) {
    EXPECT_CLOSE(x.lt(bound).to(at::kDouble).mean().item<double>(), 0.5 * std::erfc(-bound / std::sqrt(2.0)), 3e-3);
  }
  EXPECT(x.abs().max().item<double>() > 4.2 && x.abs().max().item<double>() < 6.8);
  for (const int64_t lag : {1, 2, 3, 4, 21}) EXPECT_CLOSE((x.narrow(0, 0, x.numel() - lag) * x.narrow(0, lag, x.numel() - lag)).mean().item<double>(), 0.0, 5e-3);
}

}  // namespace ft::test
