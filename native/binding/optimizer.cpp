// NativeOptimizer: steps, their halves, gradients, state on disk.
#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

struct StepArguments {
  std::vector<HostBatch> batches;
  StepOptions options;
  CallOptions call;
};

/// (batches, options, signal?); `update`: options carry learningRate and maxGradNorm.
StepArguments ToStepArguments(const Napi::CallbackInfo& info, bool update) {
  StepArguments arguments;
  arguments.batches = ToBatches(info[0], "batches");
  const Napi::Object object = ToObject(info[1], "options");
  StepOptions& options = arguments.options;
  if (update) {
    options.learning_rate = ToNumber(object.Get("learningRate"), "options.learningRate", 0.0);
    options.max_grad_norm = ToNumber(object.Get("maxGradNorm"), "options.maxGradNorm", 0.0);
  }
  options.seed = ToCounter(object.Get("seed"), "options.seed");
  options.step = ToCounter(object.Get("step"), "options.step");
  options.checkpointed_layers = ToLayers(object.Get("gradientCheckpointing"), "options.gradientCheckpointing");
  arguments.call.cancel = ToCancel(info.Env(), info[2], "signal");
  return arguments;
}

Napi::Value FromSkipped(Napi::Env env, Skipped skipped) {
  switch (skipped) {
    case Skipped::kNone: return env.Null();
    case Skipped::kLossNotFinite: return Napi::String::New(env, "loss_not_finite");
    case Skipped::kGradientNotFinite: return Napi::String::New(env, "gradient_not_finite");
    case Skipped::kLossScaleOverflow: return Napi::String::New(env, "loss_scale_overflow");
  }
  return env.Null();
}

Napi::Value FromStepResult(Napi::Env env, const StepResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("loss", FromNumber(env, result.loss));
  object.Set("gradNorm", FromNumber(env, result.grad_norm));
  object.Set("tokens", FromInt(env, result.tokens));
  object.Set("supervisedTokens", FromInt(env, result.supervised_tokens));
  object.Set("applied", Napi::Boolean::New(env, result.applied));
  object.Set("skipped", FromSkipped(env, result.skipped));
  object.Set("lossScale", FromNumber(env, result.loss_scale));
  object.Set("forwardSeconds", FromNumber(env, result.forward_seconds));
  object.Set("backwardSeconds", FromNumber(env, result.backward_seconds));
  object.Set("optimizerSeconds", FromNumber(env, result.optimizer_seconds));
  return object;
}

Napi::Value Step(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.step");
  StepArguments arguments = ToStepArguments(info, /*update=*/true);
  return Submit(
      info.Env(), arguments.call,
      [optimizer = handle->optimizer, batches = std::move(arguments.batches), options = arguments.options](CallContext& context) {
        return optimizer->Step(batches, options, context.cancel.get());
      },
      &FromStepResult);
}

Napi::Value Accumulate(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.accumulate");
  StepArguments arguments = ToStepArguments(info, /*update=*/false);
  return Submit(
      info.Env(), arguments.call,
      [optimizer = handle->optimizer, batches = std::move(arguments.batches), options = arguments.options](CallContext& context) {
        return optimizer->Accumulate(batches, options, context.cancel.get());
      },
      &FromStepResult);
}

Napi::Value Apply(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.apply");
  const Napi::Object object = ToObject(info[0], "options");
  const double learning_rate = ToNumber(object.Get("learningRate"), "options.learningRate", 0.0);
  const double max_grad_norm = ToNumber(object.Get("maxGradNorm"), "options.maxGradNorm", 0.0);
  return Submit(
      info.Env(), {},
      [optimizer = handle->optimizer, learning_rate, max_grad_norm](CallContext&) { return optimizer->Apply(learning_rate, max_grad_norm); },
      [](Napi::Env env, const Optimizer::Applied& applied) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("gradNorm", FromNumber(env, applied.grad_norm));
        result.Set("applied", Napi::Boolean::New(env, applied.applied));
        result.Set("skipped", FromSkipped(env, applied.skipped));
        return result;
      });
}

Napi::Value ZeroGradients(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.zeroGradients");
  return SubmitVoid(info.Env(), {}, [optimizer = handle->optimizer](CallContext&) { optimizer->ZeroGradients(); });
}

Napi::Value Gradients(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.gradients");
  return Submit(
      info.Env(), {}, [optimizer = handle->optimizer](CallContext&) { return optimizer->Gradients(); },
      [](Napi::Env env, const std::vector<Optimizer::NamedGradient>& gradients) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        for (const Optimizer::NamedGradient& gradient : gradients) {
          Napi::Object entry = Napi::Object::New(env);
          entry.Set("shape", FromShape(env, gradient.shape));
          entry.Set("data", FromFloats(env, gradient.data));
          result.Set(gradient.name, entry);
        }
        return result;
      });
}

Napi::Value Save(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.save");
  return SubmitVoid(info.Env(), {}, [optimizer = handle->optimizer, path = ToPath(info[0], "path")](CallContext&) { optimizer->Save(path); });
}

Napi::Value Load(const Napi::CallbackInfo& info) {
  const auto handle = Handle<OptimizerHandle>::This(info, "Optimizer.load");
  return SubmitVoid(info.Env(), {}, [optimizer = handle->optimizer, path = ToPath(info[0], "path")](CallContext&) { optimizer->Load(path); });
}

Napi::Value NumTrainableParameters(const Napi::CallbackInfo& info) {
  return FromInt(info.Env(), Handle<OptimizerHandle>::This(info, "Optimizer.numTrainableParameters")->trainable_parameters);
}

}  // namespace

Napi::Value CreateOptimizer(const Napi::CallbackInfo& info) {
  const auto handle = Handle<ModelHandle>::Get(info.Env(), info[0], "createOptimizer");
  const Napi::Object object = ToObject(info[1], "options");
  OptimizerOptions options;
  options.type = ToText(object.Get("type"), "options.type");
  options.beta1 = ToNumber(object.Get("beta1"), "options.beta1");
  options.beta2 = ToNumber(object.Get("beta2"), "options.beta2");
  options.eps = ToNumber(object.Get("eps"), "options.eps");
  options.weight_decay = ToNumber(object.Get("weightDecay"), "options.weightDecay");
  return Submit(
      info.Env(), {},
      [model = handle->model, options = std::move(options)](CallContext&) {
        auto optimizer = Optimizer::Create(model, options);
        const int64_t parameters = optimizer->NumTrainableParameters(), bytes = optimizer->StateBytes();
        return OptimizerHandle{EngineOwned(std::move(optimizer)), parameters, bytes};
      },
      [](Napi::Env env, OptimizerHandle made) -> Napi::Value {
        const int64_t bytes = made.state_bytes;
        return Handle<OptimizerHandle>::Wrap(env, std::make_shared<OptimizerHandle>(std::move(made)), bytes);
      });
}

void DefineOptimizer(Napi::Env env) {
  DefineHandle(env, HandleKind::kOptimizer, "NativeOptimizer",
               {{"step", &Async<Step>},
                {"accumulate", &Async<Accumulate>},
                {"apply", &Async<Apply>},
                {"zeroGradients", &Async<ZeroGradients>},
                {"gradients", &Async<Gradients>},
                {"save", &Async<Save>},
                {"load", &Async<Load>},
                {"numTrainableParameters", &Sync<NumTrainableParameters>},
                {"dispose", &Sync<Handle<OptimizerHandle>::Dispose>}});
}

}  // namespace ft::binding
