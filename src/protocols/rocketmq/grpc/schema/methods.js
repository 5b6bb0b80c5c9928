import * as service from './service.js';
const SERVICE_PATH = '/apache.rocketmq.v2.MessagingService/';
function method(name, kind, request, response) {
    return { name, path: SERVICE_PATH + name, kind, request, response };
}
export const METHODS = {
    queryRoute: method('QueryRoute', 'unary', service.QueryRouteRequest, service.QueryRouteResponse),
    heartbeat: method('Heartbeat', 'unary', service.HeartbeatRequest, service.HeartbeatResponse),
    sendMessage: method('SendMessage', 'unary', service.SendMessageRequest, service.SendMessageResponse),
    queryAssignment: method('QueryAssignment', 'unary', service.QueryAssignmentRequest, service.QueryAssignmentResponse),
    receiveMessage: method('ReceiveMessage', 'server-stream', service.ReceiveMessageRequest, service.ReceiveMessageResponse),
    ackMessage: method('AckMessage', 'unary', service.AckMessageRequest, service.AckMessageResponse),
    changeInvisibleDuration: method('ChangeInvisibleDuration', 'unary', service.ChangeInvisibleDurationRequest, service.ChangeInvisibleDurationResponse),
    forwardMessageToDeadLetterQueue: method('ForwardMessageToDeadLetterQueue', 'unary', service.ForwardMessageToDeadLetterQueueRequest, service.ForwardMessageToDeadLetterQueueResponse),
    endTransaction: method('EndTransaction', 'unary', service.EndTransactionRequest, service.EndTransactionResponse),
    recallMessage: method('RecallMessage', 'unary', service.RecallMessageRequest, service.RecallMessageResponse),
    notifyClientTermination: method('NotifyClientTermination', 'unary', service.NotifyClientTerminationRequest, service.NotifyClientTerminationResponse),
    telemetry: method('Telemetry', 'bidi', service.TelemetryCommand, service.TelemetryCommand),
};
