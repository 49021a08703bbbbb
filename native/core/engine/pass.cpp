#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/engine/model.h"
#include "core/objectives/linear_cross_entropy.h"

namespace ft {

std::shared_ptr<Pass> Pass::Create(std::shared_ptr<Model> model, const HostBatch& host, const Options& options) {
  FT_CHECK(!model->pass_live, kHandleMisuse, "a Pass of this model is live already: call backward() or dispose() on it first");
  FT_CHECK(model->HasTrainable(), kHandleMisuse, "nothing in the model is trainable: add an adapter or call setTrainable() first");
  std::shared_ptr<Pass> pass(new Pass);
  Decoder& decoder = model->decoder();
  if (model->active_adapter() != nullptr) pass->adapter_ = model->active_adapter()->shared_from_this();
  pass->batch_ = std::make_shared<Batch>(MakeBatch(host, decoder.spec().vocab_size, decoder.device()));
  FT_CHECK(pass->batch_->supervised > 0, kNoLabels, "no position of the batch carries a label: all are -100 or first in their row");
  pass->context_ = std::make_shared<ForwardContext>();
  ForwardContext& context = *pass->context_;
  context.batch = pass->batch_.get();
  context.training = true;
  context.checkpointed_layers = options.checkpointed_layers;
  context.seed = options.seed;
  context.step = options.step;
  context.anchor = at::zeros({}, at::TensorOptions(decoder.device())).requires_grad_(true);
  {
    at::AutoGradMode grad(true);
    pass->output_ = LinearLogProbs(decoder.Hidden(context), decoder, context);
  }
  pass->scatter_index_ = pass->batch_->loss_source + 1;
  at::NoGradGuard no_grad;
  at::Tensor all = at::zeros({pass->batch_->tokens}, pass->output_.options());
  all.index_copy_(0, pass->scatter_index_, pass->output_.detach());
  pass->logprobs_ = all.cpu();
  model->pass_live = true;
  pass->model_ = std::move(model);
  return pass;
}

Pass::~Pass() { Release(); }

void Pass::Backward(const at::Tensor& grad) {
  FT_CHECK(!over_, kHandleDisposed, "this Pass is over: backward() works once");
  FT_CHECK(grad.numel() == logprobs_.numel(), kInvalidArgument, "the gradient must have one entry a token: expected {}, got {}", logprobs_.numel(), grad.numel());
  const at::Tensor selected = grad.to(output_.device()).index_select(0, scatter_index_);
  // Whatever happens inside, the graph is spent.
  const at::Tensor output = output_;
  try {
    torch::autograd::backward({output}, {selected});
  } catch (...) {
    Release();
    throw;
  }
  Release();
}

void Pass::Release() {
  if (over_) return;
  over_ = true;
  output_.reset();
  if (model_) model_->pass_live = false;
}

}  // namespace ft
