// Structural facts of a mixture of experts, as arch/<family>.cpp reads them from config.json. Free of LibTorch.
#pragma once

#include <cstdint>
#include <string>

namespace ft {

/// What a router's logits become before the best experts are taken.
enum class RouterScore {
  kSoftmax,  // over all experts
  kSigmoid,  // each by itself
  kChosen,   // the logits themselves; the chosen ones' softmax weighs them
};

/// How experts compete in groups (https://arxiv.org/abs/2405.04434, https://arxiv.org/abs/2412.19437).
enum class GroupScore {
  kNone,     // no groups
  kBest,     // a group counts as its best expert
  kBestTwo,  // as the sum of its two best
};

struct RouterSpec {
  int64_t num_experts = 0;
  int64_t experts_per_token = 0;
  RouterScore score = RouterScore::kSoftmax;
  bool renormalise = false;       // the chosen weights are divided by their sum
  double epsilon = 0.0;           // added to that sum
  double scaling_factor = 1.0;    // multiplies the weights, after that
  bool correction_bias = false;   // a buffer added to the scores for the choice alone
  GroupScore group_score = GroupScore::kNone;
  int64_t groups = 1;             // experts i · E / groups … form group i
  int64_t groups_per_token = 1;   // only experts of the best groups are chosen
};

/// How the experts' weights lie in files and in transformers' state_dict.
enum class ExpertStorage {
  kSeparate,  // a tensor a projection and expert: Names::expert_gate, expert_up, expert_down
  kFused,     // [experts, in, out], gate and up interleaved, biases beside them: Names::experts + gate_up_proj, down_proj
};

struct MoeSpec {
  RouterSpec router;
  bool router_bias = false;
  int64_t expert_width = 0;      // intermediate size of one expert
  bool expert_bias = false;
  bool clamped_gate = false;     // kernels/clamped_gate.h in place of hidden_act
  ExpertStorage storage = ExpertStorage::kSeparate;
  int64_t shared_width = 0;      // of the expert that every token passes; 0: there is none
  bool shared_gate = false;      // its output times sigmoid(shared_expert_gate · x)
  bool renamed_targets = false;  // PEFT turns the names of single experts' projections into those of the fused parameters
  double aux_loss_coef = 0.0;    // of the load-balancing loss in training; 0: none

  bool present() const { return router.num_experts > 0; }
};

}  // namespace ft
